// Package intake is what every group does with a record before its own callback sees it: decode it, or send it to the dead letters with
// its reason; and find out whether it lies where its key says, or send a copy to where it belongs.
package intake
