package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// healthTimeout is how long -healthcheck waits for the answer.
const healthTimeout = 3 * time.Second

// checkHealth asks the server that listens at addr, and answers to the first of hosts if there are
// any, whether it is well, and prints one line.
func checkHealth(addr string, hosts []string, secure bool, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	addr, local := reachable(addr)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("-healthcheck: %w", err)
	}
	if len(hosts) > 0 {
		req.Host = hosts[0] // any other name may be refused
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if secure {
		req.URL.Scheme = "https"
		// Its name is another one than the certificate's; nobody stands between
		// a machine and itself.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: local}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("-healthcheck: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // one answer is all
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("-healthcheck: %s says %s", addr, resp.Status)
	}
	_, _ = fmt.Fprintln(stdout, "ok:", addr) // the exit code says it too
	return nil
}

// reachable is where to reach a server that listens on addr, and whether that
// is this machine: all addresses are the loopback too.
func reachable(addr string) (_ string, local bool) {
	host, port, _ := net.SplitHostPort(addr) // checked with the configuration
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		host, local = "127.0.0.1", true
	case host == "localhost":
		local = true
	case err != nil:
	case ip == netip.IPv6Unspecified():
		host, local = "::1", true
	case ip.IsUnspecified():
		host, local = "127.0.0.1", true
	default:
		local = ip.IsLoopback()
	}
	return net.JoinHostPort(host, port), local
}
