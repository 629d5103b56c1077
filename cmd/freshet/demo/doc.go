// Package demo shows the engine at work, all in one process and a temporary directory: the embedded broker, the engine, and real recorded coding
// sessions moved to now. What happened before is there at once, the rest plays live, compressed in time. The view sees what any client
// of the broker would see: it reads freshet.verdicts.
package demo
