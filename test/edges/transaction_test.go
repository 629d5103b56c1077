package edges

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// openTransaction is a transaction that a producer has not ended.
type openTransaction struct {
	t      *testing.T
	client *kgo.Client
}

// openTransaction writes a record to a partition in a transaction that stays open: what is written behind it is acknowledged, but who reads
// committed records does not get it.
func (k *kit) openTransaction(ctx context.Context, topic string, partition int32) *openTransaction {
	k.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.TransactionalID("edges"), kgo.TransactionTimeout(5*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(client.Close)
	err = client.BeginTransaction()
	if err == nil {
		err = client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte("open")}).FirstErr()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return &openTransaction{k.t, client}
}

func (o *openTransaction) abort(ctx context.Context) {
	o.t.Helper()
	if err := o.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		o.t.Fatal(err)
	}
}

// awaitReady asks /ready until the answer is yes.
func (k *kit) awaitReady(ctx context.Context) {
	k.t.Helper()
	k.Until(ctx, func() string {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+k.App.HTTPAddr()+"/ready", nil)
		if err != nil {
			k.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Sprintf("/ready: %s %s", resp.Status, text)
		}
		return ""
	})
}
