package workflows

import (
	"strconv"

	"github.com/freshet-io/freshet/event"
	"github.com/freshet-io/freshet/freshness"
	"github.com/twmb/franz-go/pkg/kgo"
)

var detectionType = []byte("freshet.detection")

// publishDetection makes what is now said of a detection part of the transaction; closed says by what it is closed, if it is.
func (pt *partition) publishDetection(r *row, d *freshness.Detection, closed string, now event.Time) {
	pt.key = appendDetectionID(pt.key[:0], r.w.ID, d)
	pt.buf = pt.appendDetection(pt.buf[:0], r.w, d, closed)
	pt.emitDetection(r.w.ID, d.Revision, now)
}

// emitDetection emits the record in buf under the id in key.
func (pt *partition) emitDetection(subject string, revision int32, now event.Time) {
	topic := &pt.g.Detections
	value := len(pt.buf)
	pt.buf = append(pt.buf, pt.key...)
	key := len(pt.buf)
	pt.buf = strconv.AppendInt(append(append(pt.buf, pt.key...), '/'), int64(revision), 10)
	id := len(pt.buf)
	pt.buf = now.Append(pt.buf)
	b := pt.slab.Copy(pt.buf)
	pt.p.Emit(&kgo.Record{
		Topic: topic.Name, Partition: pt.g.Partitioner.PartitionString(string(pt.key), topic.Partitions), Key: b[value:key:key], Value: b[:value:value],
		Timestamp: now.Go(),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: specVersion},
			{Key: "ce_id", Value: b[key:id:id]},
			{Key: "ce_source", Value: source},
			{Key: "ce_type", Value: detectionType},
			{Key: "ce_time", Value: b[id:]},
			{Key: "ce_subject", Value: []byte(subject)},
			{Key: "content-type", Value: jsonContent},
		},
	})
}

// tombstone takes the record of a detection off its topic.
func (pt *partition) tombstone(r *row, d *freshness.Detection, now event.Time) {
	pt.key = appendDetectionID(pt.key[:0], r.w.ID, d)
	topic := &pt.g.Detections
	pt.p.Emit(&kgo.Record{
		Topic: topic.Name, Partition: pt.g.Partitioner.PartitionString(string(pt.key), topic.Partitions), Key: pt.slab.Copy(pt.key), Timestamp: now.Go(),
	})
}

// appendDetectionID appends <workflow>/<kind>/<key>/<since>, its parts percent-encoded.
func appendDetectionID(b []byte, workflow string, d *freshness.Detection) []byte {
	b = append(appendPercent(b, workflow), '/')
	b = append(appendPercent(b, d.Kind), '/')
	b = append(appendPercent(b, d.Key), '/')
	return d.Since.Append(b)
}

// appendDetection appends the data of a detection's record. What it says of versions and causes is as of the instant at which it began.
func (pt *partition) appendDetection(b []byte, w *freshness.Workflow, d *freshness.Detection, closed string) []byte {
	iv := pt.detector.Evidence(w, d)
	b = freshness.AppendString(append(b, `{"detection_id":`...), string(pt.key))
	if closed == "" {
		b = append(b, `,"status":"open"`...)
	} else {
		b = append(b, `,"status":"closed"`...)
	}
	b = freshness.AppendString(append(b, `,"workflow":`...), w.ID)
	b = freshness.AppendName(append(b, `,"workflow_type":`...), w.Type.Name)
	b = freshness.AppendString(append(b, `,"count":1,"workflows":[`...), w.ID)
	b = pt.appendHeldItem(append(b, ']'), w, d, iv, closed)
	return append(append(append(b, `,"traffic_class":"`...), w.Traffic.String()...), `"}`...)
}

// appendHeldItem appends what is said of the item, alike for a detection and for a group of them.
func (pt *partition) appendHeldItem(b []byte, w *freshness.Workflow, d *freshness.Detection, iv *freshness.ItemVerdict, closed string) []byte {
	b = freshness.AppendString(append(b, `,"kind":`...), d.Kind)
	b = freshness.AppendString(append(b, `,"key":`...), d.Key)
	b = append(b, `,"used":`...)
	if iv != nil {
		b = freshness.AppendUsed(b, w, iv)
		b = freshness.AppendVersion(append(b, `,"current":`...), iv.Current)
	} else {
		b = freshness.AppendName(append(b, `{"version":`...), d.Version)
		b = freshness.AppendCount(append(b, `,"seq":`...), d.Seq, d.HasSeq)
		b = append(b, `,"as_of":null,"loaded_at":null,"at":null}`...)
		b = freshness.AppendVersion(append(b, `,"current":`...), pt.current(d))
	}
	b = freshness.AppendString(append(b, `,"bound":`...), d.Bound.Bound())
	b = freshness.AppendInstant(append(b, `,"since":`...), d.Since, true)
	b = freshness.AppendInstant(append(b, `,"detected_at":`...), d.DetectedAt, true)
	b = freshness.AppendInstant(append(b, `,"closed_at":`...), d.Until, closed != "")
	b = freshness.AppendName(append(b, `,"closed_by":`...), closed)
	cause, owner := "", ""
	if iv != nil {
		if most, ok := iv.Largest(); ok {
			cause, owner = most.Cause.String(), most.Owner
		}
	}
	if owner == "" {
		if c := pt.g.Contracts.At(d.Since); c != nil {
			owner = c.ContextOf(d.Kind, "").Owner
		}
	}
	b = freshness.AppendName(append(b, `,"owner":`...), owner)
	return freshness.AppendName(append(b, `,"cause":`...), cause)
}

// current returns the version in force when a detection began, nil if it is not known.
func (pt *partition) current(d *freshness.Detection) *freshness.Version {
	c := pt.g.Contracts.At(d.Since)
	if c == nil {
		return nil
	}
	return pt.g.View.Item(d.Kind, d.Key).Current(c.ContextOf(d.Kind, "").Basis, d.Since)
}
