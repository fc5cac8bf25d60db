package dev

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// behind starts a server behind a proxy, and returns the proxy's URL.
func behind(t *testing.T, h http.HandlerFunc) (url string, _ *tabs) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	tabs := newTabs(time.UnixMilli(41))
	proxy := httptest.NewServer(handler(tabs))
	t.Cleanup(proxy.Close)
	tabs.serve(strings.TrimPrefix(server.URL, "http://"))
	tabs.reload()
	return proxy.URL, tabs
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestNoAnswerToAFormIsCutOff, as some were in each thousand.
func TestNoAnswerToAFormIsCutOff(t *testing.T) {
	const want = 100_000 // bytes
	url, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, want))
	})
	for i := range 1000 {
		resp, err := http.Post(url, "", strings.NewReader("action=increment"))
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || n != want {
			t.Fatalf("request %d: got %d bytes and %v, want %d", i, n, err, want)
		}
	}
}

func TestPagesGetTheScriptAndNothingElseDoes(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"text/html; charset=utf-8", "<head></head>x", `<head><script src="/_dev/reload.js?generation=42&amp;styles=0" defer></script></head>x`},
		{"text/html", "<p>a fragment</p>", "<p>a fragment</p>"},
		{"text/javascript", "'</head>'", "'</head>'"},
	} {
		url, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("the server is asked for what can't be read")
			}
			w.Header().Set("Content-Type", c.kind)
			_, _ = io.WriteString(w, c.body) // the test sees what is missing
		})
		if _, got := get(t, url); got != c.want {
			t.Errorf("%s: got %s, want %s", c.kind, got, c.want)
		}
	}
}

func TestTheServerSeesTheHostOfTheTab(t *testing.T) {
	url, _ := behind(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
	if _, got := get(t, url); "http://"+got != url {
		t.Errorf("got %s, want %s", got, url)
	}
}

func TestAnUpgradePasses(t *testing.T) {
	url, _ := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		line, _ := rw.ReadString('\n')
		_, _ = fmt.Fprint(c, "heard "+line) // the test sees what is missing
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "x")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	socket, ok := resp.Body.(io.ReadWriter)
	if !ok {
		t.Fatalf("got %s and no connection", resp.Status)
	}
	_, _ = io.WriteString(socket, "a click\n") // as above
	if got, err := bufio.NewReader(socket).ReadString('\n'); got != "heard a click\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRequestsWaitForTheNextServer(t *testing.T) {
	url, tabs := behind(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	s, _ := tabs.get()
	tabs.wait()
	answer := make(chan string)
	go func() { // ends with the answer
		_, body := get(t, url)
		answer <- body
	}()
	tabs.serve(s.server)
	if got := <-answer; got != "served" {
		t.Errorf("got %q, want an answer of the server", got)
	}
}

func TestWithoutAServerThePageSaysWhy(t *testing.T) {
	url, tabs := behind(t, nil)
	tabs.down(errors.New("line 7: <b>"))
	resp, body := get(t, url)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "line 7: &lt;b&gt;") || !strings.Contains(body, scriptPath) {
		t.Errorf("got %s %s", resp.Status, body)
	}
}

func TestTabsAreToldTheStateAndEachChange(t *testing.T) {
	url, tabs := behind(t, nil)
	resp, err := http.Get(url + eventsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i, want := range []string{`{"generation":42,"styles":0,"problem":""}`, `{"generation":42,"styles":0,"problem":"it does not build"}`, `{"generation":43,"styles":0,"problem":""}`} {
		if !lines.Scan() || lines.Text() != "data: "+want || !lines.Scan() || lines.Text() != "" {
			t.Fatalf("got %q, want %s", lines.Text(), want)
		}
		if i == 0 {
			tabs.fail(errors.New("it does not build"))
		} else {
			tabs.reload()
		}
	}
}
