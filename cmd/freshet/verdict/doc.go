// Package verdict reads freshet.verdicts: what a third party sees of a verdict, the last revision of each use, and its golden line.
package verdict
