// Package golden asks of an engine what the golden sets say: for each line the check that should be answered with it, and the answer in
// the form of a line.
package golden
