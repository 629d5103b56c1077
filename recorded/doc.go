// Package recorded holds real coding sessions for the demo: 130 sessions of coding agents and the git history of the files they read, as structured
// CloudEvents in the order in which they were logged. File = context item, git blob = version, whole-file read = load, edit or commit =
// decision, commit on main = source update. From entireio/cli (MIT, see LICENSE); all text has been removed.
package recorded
