package budget

import "github.com/freshet-io/freshet/freshness"

// Whose says whose a use is that is not fresh.
func Whose(v *freshness.Verdict) []Share {
	if v.Kind == freshness.IsFresh {
		return nil
	}
	if v.Kind == freshness.IsStale {
		if shares := SharesOf(worst(v).Causes); shares != nil {
			return shares
		}
		// Retracted, and not superseded for any time.
	}
	names := v.Reasons.Names()
	if len(names) == 0 {
		return nil
	}
	return []Share{{Cause: names[0], Parts: Whole}}
}

// worst returns the stale item of a verdict whose causes the use's cause is taken from.
func worst(v *freshness.Verdict) *freshness.ItemVerdict {
	var most *freshness.ItemVerdict
	var length freshness.Duration
	for i := range v.Items {
		it := &v.Items[i]
		if it.Verdict != freshness.IsStale {
			continue
		}
		var sum freshness.Duration
		for _, s := range it.Causes {
			sum += s.For
		}
		if most == nil || sum > length || sum == length && it.Kind+"/"+it.Key < most.Kind+"/"+most.Key {
			most, length = it, sum
		}
	}
	return most
}
