// Package query is the HTTP server: what programs and people ask of the engine. It knows the engine by small interfaces, answers checks
// with package check, and lets in whom package access lets in. Every route says which scope it needs; errors are problems (package
// problem).
package query
