// Package programs runs Prometheus and Alertmanager as they are installed on this machine, for tests and measurements. It downloads nothing:
// what is not there is an ErrMissing.
package programs
