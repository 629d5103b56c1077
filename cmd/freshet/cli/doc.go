// Package cli is what the commands of freshet have in common: flags with their environment and configuration file, help, exit status,
// results on stdout as a table or as JSON lines, progress on stderr. It knows no command; package commands lists them.
package cli
