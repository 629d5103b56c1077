// Package event is what is on the wire: it turns a Kafka record into a typed event or into the reason why that cannot be done.
//
// The decoder is total: every byte string is an event or a Reason, nothing panics, nothing is dropped in silence. It knows the syntax
// and the vocabulary of the events, not what they mean for a verdict (package freshness), and it imports the standard library only.
package event
