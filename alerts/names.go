package alerts

// Names of the alerts. They are never changed: routes, runbooks and people know them.
const (
	FreshnessSLOBurn = "FreshnessSLOBurn"
	StaleContextHeld = "StaleContextHeld"
	SourceSilent     = "SourceSilent"
	EngineBlind      = "EngineBlind"
	Watchdog         = "Watchdog"
)

// Names returns the name of every alert.
func Names() []string {
	return []string{FreshnessSLOBurn, StaleContextHeld, SourceSilent, EngineBlind, Watchdog}
}

// Status is where an alert is in its life.
type Status uint8

// Statuses. Only firing and resolved alerts have records on freshet.alerts.
const (
	Unknown  Status = iota
	Inactive        // nothing is the matter, and there is no row
	Pending         // it holds, and something keeps it from firing
	Firing
	Resolved
)

func (s Status) String() string {
	switch s {
	case Inactive:
		return "inactive"
	case Pending:
		return "pending"
	case Firing:
		return "firing"
	case Resolved:
		return "resolved"
	}
	return "unknown"
}

// MarshalText writes the status as String does.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; anything else is unknown.
func (s *Status) UnmarshalText(b []byte) error {
	*s = Unknown
	for _, known := range []Status{Inactive, Pending, Firing, Resolved} {
		if known.String() == string(b) {
			*s = known
		}
	}
	return nil
}

// Reason says why an alert does or does not page. It is a word in answers and in the runbooks, and is never renamed.
type Reason uint8

// Reasons, in the order in which they are looked for.
const (
	Unclear       Reason = iota
	NotHolding           // the rule does not hold
	MinEvents            // it would, with more events
	TrafficClass         // it is not live traffic
	NotYet               // it has not held for long enough
	NotKnown             // what it rests on has not been read yet
	NotLive              // a partition it rests on is catching up
	HeldByBlind          // a partition it rests on is blind, and that is paged instead
	InMaintenance        // the owner is in maintenance
	NoDestination        // nothing leads to the owner
	RateLimited          // too many were sent to the owner; a summary was sent instead
	Sending              // it is due, and not acknowledged yet
	IsTold               // it has been acknowledged
)

func (r Reason) String() string {
	names := [...]string{"unclear", "not_holding", "min_events", "traffic_class", "not_yet", "not_known", "not_live", "engine_blind", "maintenance",
		"no_destination", "rate_limited", "sending", "told"}
	if int(r) < len(names) {
		return names[r]
	}
	return names[Unclear]
}

// MarshalText writes the reason as String does.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Kind is a kind of destination.
type Kind uint8

// Kinds of destinations.
const (
	NoKind Kind = iota
	Alertmanager
	Webhook
	PagerDuty
	Slack
)

// Kinds returns every kind of destination.
func Kinds() []Kind { return []Kind{Alertmanager, Webhook, PagerDuty, Slack} }

func (k Kind) String() string {
	switch k {
	case Alertmanager:
		return "alertmanager"
	case Webhook:
		return "webhook"
	case PagerDuty:
		return "pagerduty"
	case Slack:
		return "slack"
	}
	return "unknown"
}

// MarshalText writes the kind as String does.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// people says whether it is people who read what is sent there, so that repetitions and the dead-man's switch do not belong there.
func (k Kind) people() bool { return k == PagerDuty || k == Slack }

// perOwner says whether each owner is told there apart. A webhook gets the record, which names all of them.
func (k Kind) perOwner() bool { return k != Webhook }
