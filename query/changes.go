package query

import "sync"

// Changes wakes those who wait for what is known of the sources to change. The zero value is ready.
type Changes struct {
	mu   sync.Mutex
	next chan struct{} // nil while nobody waits
}

// Add says that something has changed. It does not block.
func (c *Changes) Add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// Next returns what is closed at the next change.
func (c *Changes) Next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}
