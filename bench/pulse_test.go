package bench

import (
	"slices"
	"testing"
	"time"
)

func TestGapsDelaysAndShares(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	p := &Pulse{parts: 3, answers: []Answer{
		{Partition: 0, Sent: at(0), Seen: at(1)}, {Partition: 1, Sent: at(1), Seen: at(2)}, {Partition: 0, Sent: at(2), Seen: at(7)},
		{Partition: 1, Sent: at(3), Seen: at(9.5)}, {Partition: 0, Sent: at(4), Seen: at(6)}, {Partition: 2, Sent: at(5)},
	}}
	// Partition 1 is silent from 2 to 9.5, partition 0 from 1 to 6 (what was sent later may be seen earlier), and partition 2 says nothing at all.
	want := []Gap{{5 * time.Second, at(6)}, {7500 * time.Millisecond, at(9.5)}, {10 * time.Second, at(10)}}
	if got := p.Gaps(at(0), at(10)); !slices.Equal(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
	delays, missing := Delays(p.Sent(at(1), at(6)))
	if want := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 6500 * time.Millisecond}; missing != 1 || !slices.Equal(delays, want) {
		t.Errorf("delays %v, %d missing", delays, missing)
	}
	for share, want := range map[float64]time.Duration{0: time.Second, 0.5: 5 * time.Second, 0.99: 6500 * time.Millisecond, 1: 6500 * time.Millisecond} {
		if got := Share(delays, share); got != want {
			t.Errorf("share %v is %v, want %v", share, got, want)
		}
	}
	if Share(nil, 0.5) != 0 {
		t.Error("nothing has a middle")
	}
}
