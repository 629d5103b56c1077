// Package issue makes authorities and certificates for tests.
package issue
