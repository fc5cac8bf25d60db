package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// health answers as a server that knows one host name.
func health(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/healthz":
		http.NotFound(w, r)
	case r.Host != "counter.example":
		http.Error(w, "not here", http.StatusMisdirectedRequest)
	default:
		_, _ = io.WriteString(w, "ok")
	}
}

// serving starts a server, with a certificate or without, and returns its address.
func serving(t *testing.T, cert *tls.Certificate) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(health))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if cert == nil {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestTheHealthCheckAsksTheServerOfTheSameSettings(t *testing.T) {
	cert, key := testserver.NewAuthority(t).Issue(time.Now().Add(time.Hour), "counter.example")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	plain, encrypted := serving(t, nil), serving(t, &pair)
	_, port, _ := net.SplitHostPort(plain)
	known := []string{"counter.example"}
	for _, c := range []struct {
		name string
		addr string
		tls  bool
		asks []string
		says string // "": it is well
	}{
		{"by name", "localhost:" + port, false, known, ""},
		{"all addresses", ":" + port, false, known, ""},
		{"all of IPv4", "0.0.0.0:" + port, false, known, ""},
		{"with TLS, by the wrong name", encrypted, true, known, ""},
		{"an answer that is none", plain, false, nil, "421"},
		{"TLS where there is none", plain, true, nil, "-healthcheck"},
		{"no TLS where there is", encrypted, false, known, "400"},
		{"nobody", "127.0.0.1:1", false, nil, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := checkHealth(c.addr, c.asks, c.tls, &out)
			if c.says == "" && (err != nil || strings.Count(out.String(), "\n") != 1) {
				t.Errorf("got %q, %v; want one line", out.String(), err)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || out.Len() > 0) {
				t.Errorf("got %q, %v; want an error with %q", out.String(), err, c.says)
			}
		})
	}
}

func TestWhereAServerIsToBeReached(t *testing.T) {
	for in, want := range map[string]struct {
		addr  string
		local bool
	}{
		":80": {"127.0.0.1:80", true}, "0.0.0.0:80": {"127.0.0.1:80", true}, "[::]:80": {"[::1]:80", true}, "127.0.0.5:80": {"127.0.0.5:80", true},
		"localhost:80": {"localhost:80", true}, "192.0.2.1:80": {"192.0.2.1:80", false}, "counter.example:80": {"counter.example:80", false},
	} {
		if addr, local := reachable(in); addr != want.addr || local != want.local {
			t.Errorf("%s: got %s, %v; want %s, %v", in, addr, local, want.addr, want.local)
		}
	}
}
