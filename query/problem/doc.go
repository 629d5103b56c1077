// Package problem says what went wrong as RFC 9457 has it (application/problem+json). Every kind of problem is defined here once, with the
// type by which programs tell it from others; docs/api.md has a heading for each.
package problem
