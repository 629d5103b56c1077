// Package lint holds the house rules as tests: which way imports go, which calls are not made, that docs are in step with the code. It has no
// code of its own.
package lint
