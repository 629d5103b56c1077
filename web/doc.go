// Package web is the page for people at /ui/: static files that are part of the binary. It knows nothing and holds no data: what it shows, the
// browser asks of the HTTP API, with a token that its user types in where the server wants one.
package web
