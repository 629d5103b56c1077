// Package golden asks of an engine what the golden sets say: for each line the check that should be answered with it, and answers,
// explanations and verdict records in the form of lines.
package golden
