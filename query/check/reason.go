package check

// Reason is why an answer is unknown beside what its items say, or cannot be relied on. Reasons are a set, said in this order, behind
// those of the verdict.
type Reason uint8

const (
	UnknownWorkflow Reason = 1 << iota // nothing is known of the workflow
	Recovering                         // nobody has its partition now, or its rows are being restored
	NotUpToBound                       // a record that the answer must rest on has not been applied
	EngineBehind                       // the clocks are behind by more than the caller allows
)

// String returns the name of a single reason, "unknown" for what is not a single one.
func (r Reason) String() string {
	switch r {
	case UnknownWorkflow:
		return "unknown_workflow"
	case Recovering:
		return "recovering"
	case NotUpToBound:
		return "not_up_to_bound"
	case EngineBehind:
		return "engine_behind"
	default:
		return "unknown"
	}
}

// Reasons returns every reason, in order.
func Reasons() []Reason { return []Reason{UnknownWorkflow, Recovering, NotUpToBound, EngineBehind} }

// Action is what a caller should do. The zero value is the one that does no harm.
type Action uint8

const (
	Abstain   Action = iota // it is not known whether the context holds, and waiting does not help
	Wait                    // we are behind: ask again
	Reload                  // the context is stale: load it again
	Reapprove               // it is stale, and an approval was granted on what is superseded
	Proceed                 // the context holds
)

// String returns the action's name.
func (a Action) String() string {
	switch a {
	case Wait:
		return "wait"
	case Reload:
		return "reload"
	case Reapprove:
		return "reapprove"
	case Proceed:
		return "proceed"
	default:
		return "abstain"
	}
}
