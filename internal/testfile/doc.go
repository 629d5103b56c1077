// Package testfile reads compressed files of testdata, the golden sets above all, for tests.
package testfile
