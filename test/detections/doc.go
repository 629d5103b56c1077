// Package detections tests the detections of the whole engine: found without any event, closed by what ends them, and, whatever the order of
// arrival, those of the complete set of events.
package detections
