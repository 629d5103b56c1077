package tail

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// recoveryWait bounds how long recovery waits for the usable end of one partition. It outlasts the transactions of our own, which time
// out after ten seconds, and the ten seconds that a coordinator takes to notice.
const recoveryWait = 90 * time.Second

// manager is goka's TopicManager with a usable newest offset, and with topics that do not exist in Kafka.
type manager struct {
	goka.TopicManager
	logs    *Logs
	virtual map[string]int32
	ctx     context.Context // goka's interface has none; it ends with Close and with what Until was given
	cancel  context.CancelFunc
}

// TopicManager decorates goka's. The newest offset of a partition is its Usable end, so that recovery ends on logs whose last offsets no
// reader is given. Topics named in virtual have that many partitions and are never asked for in Kafka.
func (l *Logs) TopicManager(inner goka.TopicManager, virtual map[string]int32) goka.TopicManager {
	ctx, cancel := context.WithCancel(l.until)
	return &manager{TopicManager: inner, logs: l, virtual: virtual, ctx: ctx, cancel: cancel}
}

// GetOffset returns the usable end for sarama.OffsetNewest and asks the decorated manager for any other.
func (m *manager) GetOffset(topic string, partition int32, at int64) (int64, error) {
	if n, ok := m.virtual[topic]; ok {
		if partition < 0 || partition >= n {
			return 0, fmt.Errorf("get an offset of virtual topic %s: it has %d partitions, not one numbered %d", topic, n, partition)
		}
		return 0, nil
	}
	if at != sarama.OffsetNewest {
		return m.TopicManager.GetOffset(topic, partition, at)
	}
	ctx, cancel := context.WithTimeout(m.ctx, recoveryWait)
	defer cancel()
	return m.logs.Usable(ctx, topic, partition)
}

// Partitions returns the partitions of a topic.
func (m *manager) Partitions(topic string) ([]int32, error) {
	n, ok := m.virtual[topic]
	if !ok {
		return m.TopicManager.Partitions(topic)
	}
	ps := make([]int32, n)
	for i := range ps {
		ps[i] = int32(i)
	}
	return ps, nil
}

// EnsureTableExists asks the decorated manager, unless the topic is virtual.
func (m *manager) EnsureTableExists(topic string, npar int) error {
	if n, ok := m.virtual[topic]; ok {
		return ensureVirtual(topic, n, npar)
	}
	return m.TopicManager.EnsureTableExists(topic, npar)
}

// EnsureStreamExists asks the decorated manager, unless the topic is virtual.
func (m *manager) EnsureStreamExists(topic string, npar int) error {
	if n, ok := m.virtual[topic]; ok {
		return ensureVirtual(topic, n, npar)
	}
	return m.TopicManager.EnsureStreamExists(topic, npar)
}

// EnsureTopicExists asks the decorated manager, unless the topic is virtual.
func (m *manager) EnsureTopicExists(topic string, npar, rfactor int, config map[string]string) error {
	if n, ok := m.virtual[topic]; ok {
		return ensureVirtual(topic, n, npar)
	}
	return m.TopicManager.EnsureTopicExists(topic, npar, rfactor, config)
}

// Close ends the calls that wait and closes the decorated manager; the Logs stay open.
func (m *manager) Close() error {
	m.cancel()
	return m.TopicManager.Close()
}

func ensureVirtual(topic string, has int32, want int) error {
	if int(has) != want {
		return fmt.Errorf("ensure that virtual topic %s exists: it has %d partitions, %d are asked for", topic, has, want)
	}
	return nil
}
