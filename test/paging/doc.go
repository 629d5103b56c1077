// Package paging has the tests of alerts on the real programs: freshet as a process on a real Kafka, Alertmanagers, Prometheus, and a webhook
// behind them that stands for those who are woken. A fleet of agents and sources is at work, and breaks in known ways.
package paging
