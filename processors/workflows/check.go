package workflows

import (
	"github.com/freshet-io/freshet/checkid"
	"github.com/freshet-io/freshet/internal/metrics"
)

// outcome returns the value of the label check.
func outcome(a *checkid.Act) string {
	switch {
	case !a.Carries:
		return metrics.NoCheck
	case !a.Valid:
		return metrics.InvalidCheck
	}
	return a.Verdict.String()
}
