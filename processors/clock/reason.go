package clock

// Reason says why a clock shows what it shows.
type Reason uint8

const (
	Unknown         Reason = iota // nothing has been asked yet
	Following                     // it follows wall time: all that is known to be there has been applied
	Behind                        // there are records that have not been applied
	OpenTransaction               // a transaction is open on the input: what lies behind it cannot be read yet
	NoPosition                    // where the engine stands is not known yet
	Refused                       // a topic refuses a record that what has been read led to: the partition is held back until it takes it
	Unreachable                   // the brokers have not answered the last question about the input
)

// String returns the reason's name, as it stands in metrics, answers and runbooks.
func (r Reason) String() string {
	switch r {
	case Following:
		return "following"
	case Behind:
		return "records_waiting"
	case OpenTransaction:
		return "input_open_transaction"
	case NoPosition:
		return "position_unknown"
	case Refused:
		return "output_refused"
	case Unreachable:
		return "brokers_unreachable"
	default:
		return "unknown"
	}
}

// Reasons returns every reason, for metrics that have a series for each.
func Reasons() []Reason {
	return []Reason{Unknown, Following, Behind, OpenTransaction, NoPosition, Refused, Unreachable}
}
