// Package commands is the list of freshet's commands, one file for each: what they take, what they say, and which packages do it.
package commands
