// Package deploy has no code. Its tests check what this repository is deployed
// with, as far as that goes without an engine for containers: Dockerfile and
// docker-compose.yml by their own parsers, manifests and chart against what the
// three newest versions of Kubernetes accept, and nginx.conf by running it.
//
// It is a module of its own, so that those parsers are no dependencies of
// Lockstep.
package deploy

//go:generate go run ./schemas
//go:generate go test -run ^(TestAlertsAndDashboardAreTheSameEverywhere|TestTheChartsValuesAreDocumented)$ -update .
