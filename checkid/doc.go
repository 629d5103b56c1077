// Package checkid writes and reads the ids of checks: opaque to those who carry them, but the workflow, the instant and the verdict of the
// answer lie in them. An act that brings its check's id back can be audited without any memory of the check, and a replay finds the same.
//
// Where a key is configured ids are signed, so that nobody can claim a check that was never answered.
package checkid
