// Package backends measures all brokers on one machine in one run, and writes the table of what
// each backend promises, needs and costs into README.md and docs/backends.md. A new backend is a
// row in rows_test.go.
package backends
