// Package access says how brokers are reached: their addresses, TLS and SASL, for both of the clients that Freshet speaks Kafka with.
// Secrets stand in files, which are read again whenever a connection asks for them, so that they can be rotated.
package access
