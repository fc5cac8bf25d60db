// Package e2e tests the program as people use it: real processes, real Redis
// and Postgres, real Chromium and Firefox, and a client that is not a browser.
// It holds tests only.
package e2e
