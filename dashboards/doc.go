// Package dashboards is Freshet's Grafana dashboards as values: what each panel asks and why, and their JSON. It draws nothing and asks no
// server. The files in grafana/ are generated from it.
package dashboards
