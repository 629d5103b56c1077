// Package auth says who may ask what: clients by their bearer tokens, of which a file holds the hashes, by certificates, or by signed tokens
// (JWT) of an issuer; their scopes and workflow types; and how often they may ask. What is read from files and from the issuer is read again
// when it changes; what is wrong changes nothing.
package auth
