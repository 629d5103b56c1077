// Package retime moves recorded events to another time: every instant in a structured CloudEvent that Freshet reads goes through a
// function, everything else stays byte for byte.
package retime
