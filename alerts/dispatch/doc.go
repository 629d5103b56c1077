// Package dispatch sends the notifications that package alerts says are due: to every Alertmanager replica, webhook, PagerDuty and Slack.
//
// Each place has a queue and a goroutine of its own, so that one that is dead delays no other. A queue holds the latest notification of
// each alert and owner: it is offered everything that is due again at every tick, forgets what no longer is, and tries on with growing
// pauses, or when the receiver says. What has been delivered goes back as an acknowledgement, and comes to rest in the alert's row.
// Nothing is stored here.
//
// Addresses come from flags, never from the contract or from events; redirects are not followed. What errors and logs say of a place is
// its kind and a short name: addresses and keys may be secrets.
package dispatch
