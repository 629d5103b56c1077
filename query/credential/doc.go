// Package credential keeps what TLS needs from files: a certificate with its key, and the authorities that are trusted. The files are read
// again when they change; what is wrong changes nothing.
package credential
