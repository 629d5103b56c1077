// Package deadletter reads dead letters and says which of them can be sent back to where they came from, and as what. It does not send
// them.
package deadletter
