package freshness

// AppendString appends a JSON string.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }

// AppendSeconds appends a length of time in seconds, exact to the millisecond, or null.
func AppendSeconds(b []byte, d Duration, known bool) []byte { return appendSeconds(b, d, known) }

// AppendCount appends a number, or null.
func AppendCount(b []byte, n int64, known bool) []byte { return appendCount(b, n, known) }

// AppendReasons appends a JSON list of reasons in their order.
func AppendReasons(b []byte, r Reason) []byte { return appendReasons(b, r) }
