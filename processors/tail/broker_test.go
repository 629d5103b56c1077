package tail

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

func TestCheckBroker(t *testing.T) {
	onBrokers(t, func(t *testing.T, r *rig) {
		if err := CheckBroker(within(t), r.logs(t).Client()); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckBrokerOfOtherVersions(t *testing.T) {
	for _, c := range []struct {
		version *kversion.Versions
		lacks   string // "" for one that will do
	}{
		{kversion.V4_0_0(), ""},
		{kversion.V3_0_0(), ""},
		{kversion.V2_8_0(), "DescribeTransactions"},
		{kversion.V2_4_0(), "DescribeProducers"},
	} {
		t.Run(c.version.VersionGuess(), func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.MaxVersions(c.version))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			err = CheckBroker(within(t), newRig(t, cluster.ListenAddrs(), cluster).logs(t).Client())
			if c.lacks == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrBroker) || !strings.Contains(err.Error(), c.lacks) || !strings.Contains(err.Error(), "3.0 or later") {
				t.Errorf("CheckBroker = %v; want a refusal that names %s", err, c.lacks)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	all := func(key int16) (int16, int16, bool) { return 0, 20, true }
	if m := missing(all); len(m) != 0 {
		t.Errorf("missing = %v of a broker that has everything", m)
	}
	for _, n := range needs() {
		without := func(key int16) (int16, int16, bool) { return 0, 20, key != n.key.Int16() }
		if m := missing(without); len(m) != 1 || !strings.HasPrefix(m[0], n.key.Name()+" for") {
			t.Errorf("missing = %v; want %s alone", m, n.key.Name())
		}
		if n.min > 0 {
			older := func(key int16) (int16, int16, bool) {
				if key == n.key.Int16() {
					return 0, n.min - 1, true
				}
				return 0, 20, true
			}
			if m := missing(older); len(m) != 1 || !strings.HasPrefix(m[0], n.key.Name()+" in a version") {
				t.Errorf("missing = %v; want %s alone", m, n.key.Name())
			}
		}
	}
	later := func(key int16) (int16, int16, bool) { return 13, 20, true }
	if m := missing(later); len(m) == 0 || !strings.HasPrefix(m[0], "Fetch in a version from 4 to 12 (it has 13 to 20)") {
		t.Errorf("missing = %v; want Fetch first, too new", m)
	}
}

func TestCheckBrokerWithoutOne(t *testing.T) {
	r := fakeRig(t)
	l := r.logs(t)
	r.fake.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := CheckBroker(ctx, l.Client()); err == nil || errors.Is(err, ErrBroker) {
		t.Errorf("CheckBroker of no broker = %v; want an error that is not a refusal", err)
	}
}
