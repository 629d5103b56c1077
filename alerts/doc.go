// Package alerts decides what is the matter, whom to tell, and when it is over.
//
// It is pure: a Snapshot of what is known at an instant and the rows so far go in; changed rows, the notifications that are due, and, when
// somebody asks, the reasons why something does or does not page come out. It reads no clock, sends nothing and stores nothing: processors/
// alerting takes snapshots and keeps the rows, alerts/dispatch sends what is due and says what has arrived.
//
// Everything is level-triggered. A row says what is the matter now; what is due is derived from the row and from what has been
// acknowledged, again at every tick, until it has been. So a crash at any point costs a repetition, never a page.
package alerts
