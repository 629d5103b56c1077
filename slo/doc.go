// Package slo reads the contract file: who owns what, how fresh the context of each kind of decision must be, which objectives hold,
// and which topics carry the events. It is pure: bytes in, a File or every error with its line and column out.
//
// keys.go is the whole grammar of the file. The reader, docs/contract.md and the JSON schema all follow it.
package slo
