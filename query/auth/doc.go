// Package auth says who may ask what: clients with bearer tokens, of which a file holds the hashes, their scopes and workflow types, and
// how often they may ask. The file is read again when it changes; one that is wrong changes nothing.
package auth
