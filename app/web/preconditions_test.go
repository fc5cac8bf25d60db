package web_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/precondition"
	"lockstep/serve"
	"lockstep/state/memstate"
)

const chrome = "Accept-Language=en-GB,en;q=0.9"

// visits has a request come many times, by turns from the first sender and the second: n of the
// first for each of the second.
type visits struct {
	from, path string
	headers    []string // name=value
}

func (v visits) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, v.path, nil)
	r.RemoteAddr, r.Host = v.from, "counter.example"
	for _, h := range v.headers {
		name, value, _ := strings.Cut(h, "=")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	return r
}

// serveMix serves a hundred requests, of which three of four are like most.
func serveMix(h http.Handler, most, few visits) {
	for i := range 100 {
		v := most
		if i%4 == 3 {
			v = few
		}
		h.ServeHTTP(httptest.NewRecorder(), v.request())
	}
}

func unmetNames(p *precondition.Part) string {
	var names []string
	for _, u := range p.Unmet() {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

// TestAProxyThatIsNotAsItMustBeIsNoticed by where most requests come from, and by nothing that a
// few visitors send.
func TestAProxyThatIsNotAsItMustBeIsNoticed(t *testing.T) {
	proxy := func(headers ...string) visits { return visits{"10.0.0.9:1", "/", append(headers, chrome)} }
	visitor := func(headers ...string) visits { return visits{"203.0.113.7:1", "/", append(headers, chrome)} }
	for name, c := range map[string]struct {
		most, few visits
		want      string
	}{
		"one as it must be":                   {proxy("X-Forwarded-For=203.0.113.7"), proxy("X-Forwarded-For=203.0.113.8"), ""},
		"one that knows Forwarded":            {proxy("Forwarded=for=203.0.113.7"), proxy(), ""},
		"no proxy":                            {visitor(), visitor(), ""},
		"no proxy, and somebody who forges":   {visitor(), visitor("X-Forwarded-For=1.2.3.4"), ""},
		"one that is not trusted":             {visitor("X-Forwarded-For=1.2.3.4"), visitor(), "proxy_trusted"},
		"one that is not trusted, by RFC":     {visitor("Forwarded=for=1.2.3.4"), visitor(), "proxy_trusted"},
		"one that does not say for whom":      {proxy(), proxy(), "proxy_forwarded_for"},
		"somebody within, who is no browser":  {visits{"10.0.0.9:1", "/", nil}, proxy("X-Forwarded-For=203.0.113.7"), ""},
		"probes that come through a proxy":    {visits{"192.0.2.1:1", "/readyz", []string{"X-Forwarded-For=1.2.3.4", chrome}}, visitor(), ""},
		"probes of a balancer that is silent": {visits{"10.0.0.9:1", "/healthz", []string{chrome}}, proxy("X-Forwarded-For=203.0.113.7"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			part := precondition.NewPart("proxy", nil)
			trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			h := newServer(t, memstate.New(nil), &serve.Options{TrustedProxies: trusted, Proxies: serve.NewProxyWatch(trusted, part)})
			serveMix(h, c.most, c.few)
			if got := unmetNames(part); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// ofItsSocket stands for the path of a socket, which each server signs anew.
const ofItsSocket = "/socket"

// TestNamesThatAreRefusedToMostAreNoticed, and not those that scanners try.
func TestNamesThatAreRefusedToMostAreNoticed(t *testing.T) {
	page := func(headers ...string) visits { return visits{"203.0.113.7:1", "/", append(headers, chrome)} }
	socket := func(origin string) visits {
		return visits{"203.0.113.7:1", ofItsSocket, []string{"Connection=Upgrade", "Upgrade=websocket", "Sec-Websocket-Version=13",
			"Sec-Websocket-Key=dGhlIHNhbXBsZSBub25jZQ==", "Origin=" + origin}}
	}
	for name, c := range map[string]struct {
		most, few visits
		want      string
	}{
		"its own name":             {page(), page(), ""},
		"scanners":                 {page(), page("Host=192.0.2.1"), ""},
		"a proxy with its own":     {page("Host=app:8000"), page(), "proxy_hosts"},
		"probes by address":        {visits{"203.0.113.7:1", "/healthz", []string{"Host=192.0.2.1"}}, page(), ""},
		"its own pages":            {socket("http://counter.example"), socket("http://counter.example"), ""},
		"a page of somebody else":  {socket("http://counter.example"), socket("http://evil.example"), ""},
		"pages of another address": {socket("https://shop.example"), socket("http://counter.example"), "proxy_origins"},
	} {
		t.Run(name, func(t *testing.T) {
			part := precondition.NewPart("proxy", nil)
			h := newServer(t, memstate.New(nil), &serve.Options{Hosts: []string{"counter.example"}, Preconditions: part})
			first := httptest.NewRecorder()
			h.ServeHTTP(first, page().request())
			own, ok := readPage(t, first.Body.String())
			if !ok {
				t.Fatalf("got %d, and no page", first.Code)
			}
			for _, v := range []*visits{&c.most, &c.few} {
				if v.path == ofItsSocket {
					v.path = own.socket
				}
			}
			serveMix(h, c.most, c.few)
			if got := unmetNames(part); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestAFloodOfForgedHeadersCostsOneLine of the log in five minutes, and the metric follows.
func TestAFloodOfForgedHeadersCostsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		part := precondition.NewPart("proxy", slog.New(slog.NewTextHandler(&log, nil)))
		w := serve.NewProxyWatch(nil, part)
		for i := range 60 {
			for range 50 {
				w.See(visits{fmt.Sprintf("203.0.113.%d:1", i), "/", []string{"X-Forwarded-For=1.2.3.4"}}.request())
			}
			time.Sleep(10 * time.Second)
		}
		if got := strings.Count(log.String(), "\n"); got != 1 || unmetNames(part) != "proxy_trusted" {
			t.Errorf("got %d lines and %q, want one:\n%s", got, unmetNames(part), &log)
		}
		time.Sleep(5 * time.Minute)
		if got := unmetNames(part); got != "" {
			t.Errorf("got %q after they have gone", got)
		}
	})
}
