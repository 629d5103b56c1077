// Package answers holds the tests of what a running engine answers: that it is what the records say once everything has been applied, and
// never more than is known before that.
package answers
