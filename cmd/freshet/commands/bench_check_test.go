package commands

import "testing"

// The greatest rate at which both keep up is found between one at which they do and one at which they do not.
func TestKeepingFindsTheGreatestRate(t *testing.T) {
	for _, limit := range []float64{700, 3_300, 14_900, 19_999} {
		var k keeping
		try := func(rate float64) {
			reached := min(rate, limit)
			k.note(&checkRun{Rate: rate, Kept: true}, &checkRun{Rate: rate, Kept: keptUp(rate, reached)})
		}
		for _, rate := range []float64{500, 2_000, 20_500} {
			try(rate)
		}
		for rate, ok := k.next(); ok; rate, ok = k.next() {
			try(rate)
		}
		if d := limit - k.most.Rate; d < -0.011*limit || d > 500 || k.most.What != highest {
			t.Errorf("%v, with a limit of %v", k.most.Rate, limit)
		}
	}
	var k keeping
	k.note(&checkRun{Rate: 1000, Kept: true}, &checkRun{Rate: 1000, Kept: true})
	if rate, ok := k.next(); ok {
		t.Errorf("%v is tried though all was kept up with", rate)
	}
	k.note(&checkRun{Rate: 3000}, &checkRun{Rate: 3000, Kept: true})
	if rate, ok := k.next(); !ok || rate != 2000 {
		t.Errorf("%v is tried, %v: the empty handler did not keep up at 3000", rate, ok)
	}
}
