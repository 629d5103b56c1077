// Package life tests how the engine, as a process, begins and ends: in any order with its brokers, while they are away, and when it is
// asked to stop.
package life
