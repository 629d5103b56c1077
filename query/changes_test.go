package query

import "testing"

// All who wait are woken by the next change, and by that one only.
func TestChangesWakeThoseWhoWait(t *testing.T) {
	var c Changes
	c.Add() // nobody waits
	closed := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	one, two := c.Next(), c.Next()
	if closed(one) || closed(two) {
		t.Fatal("woken without a change")
	}
	c.Add()
	c.Add()
	if !closed(one) || !closed(two) {
		t.Error("not woken")
	}
	if closed(c.Next()) {
		t.Error("woken by a change of before")
	}
}
