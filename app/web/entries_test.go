package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"lockstep/serve"
)

// A part is what is answered of a log.
type part struct {
	Epoch   uint64
	First   uint64
	Next    string
	Gap     bool
	End     bool
	Entries []struct {
		N  uint64
		ID string
		At int64
		M  struct{ Text string }
	}
}

func (p part) texts() string {
	var all []string
	for _, e := range p.Entries {
		all = append(all, fmt.Sprint(e.N, " ", e.M.Text))
	}
	return strings.Join(all, ",")
}

// say says something in the log x, by its form.
func say(t *testing.T, base, text string) {
	t.Helper()
	c := browser(t)
	page := open(t, c, base+"/log/x")
	if resp, body := press(t, c, base+page.forms["say"], "text", text); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d: %s", resp.StatusCode, body)
	}
}

func entries(t *testing.T, base, query string, want int) (part, *http.Response) {
	t.Helper()
	resp, body := do(t, http.DefaultClient, "GET", base+"/log/x/entries"+query, nil, nil)
	if resp.StatusCode != want {
		t.Fatalf("%s: got %d: %s", query, resp.StatusCode, body)
	}
	var p part
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%s: %v: %s", query, err, body)
	}
	return p, resp
}

func TestEntriesOfALogAreReadOverHTTP(t *testing.T) {
	base, _ := serving(t)
	if p, _ := entries(t, base, "", 200); p.Epoch == 0 || p.First != 1 || len(p.Entries) != 0 || !p.End || p.Gap {
		t.Errorf("got %+v of an empty log", p)
	}
	for i := range 3 {
		say(t, base, fmt.Sprint("<b>", i))
	}
	p, resp := entries(t, base, "", 200)
	if p.texts() != "1 <b>0,2 <b>1,3 <b>2" || p.Entries[0].ID == "" || time.Since(time.UnixMilli(p.Entries[0].At)) > time.Minute {
		t.Errorf("got %+v", p)
	}
	if h := resp.Header; !strings.HasPrefix(h.Get("Content-Type"), "application/json") || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %v", h)
	}
	for query, want := range map[string]string{
		"?after=1": "2 <b>1,3 <b>2", "?after=1&most=1": "2 <b>1", "?after=3": "", "?after=now": "", "?after=-1": "1 <b>0,2 <b>1,3 <b>2", "?after=" + p.Next: "",
	} {
		if got, _ := entries(t, base, query, 200); got.texts() != want || got.Gap {
			t.Errorf("%s: got %s, gap %v, want %s", query, got.texts(), got.Gap, want)
		}
	}
	if got, _ := entries(t, base, "?after=9", 200); got.texts() != p.texts() || !got.Gap {
		t.Errorf("got %+v behind what is not there", got)
	}
	other := "0000000000000007_0000000000000002"
	if got, _ := entries(t, base, "?after="+other, 200); got.texts() != p.texts() || !got.Gap {
		t.Errorf("got %+v behind a place of another epoch", got)
	}
	time.AfterFunc(50*time.Millisecond, func() { say(t, base, "late") })
	if got, _ := entries(t, base, "?wait=20s&after="+p.Next, 200); got.texts() != "4 late" {
		t.Errorf("got %s after waiting", got.texts())
	}
	for _, query := range []string{
		"?after=x", "?after=0x1", "?after=-2", "?after=" + strings.Repeat("1", 33), "?after=000000000000000g_0000000000000002", "?after=18446744073709551616",
		"?most=0", "?most=x", "?wait=1", "?wait=-1s", "?live=x", "?live=sse", "?offset=", "?offset=x",
	} {
		entries(t, base, query, 400)
	}
	for _, path := range []string{"/log/BAD/entries", "/counter/x/entries", "/log//entries"} {
		if resp, _ := do(t, http.DefaultClient, "GET", base+path, nil, nil); resp.StatusCode != 404 {
			t.Errorf("%s: got %d", path, resp.StatusCode)
		}
	}
	if resp, _ := do(t, http.DefaultClient, "POST", base+"/log/x/entries", url.Values{}, nil); resp.StatusCode != 403 && resp.StatusCode != 405 {
		t.Errorf("a POST is answered with %d", resp.StatusCode)
	}
}

// An eventReader reads a stream of events.
type eventReader struct {
	t    *testing.T
	body io.Closer
	in   *bufio.Reader
}

func openEvents(t *testing.T, url string, header http.Header) *eventReader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("got %d, %v", resp.StatusCode, resp.Header)
	}
	r := &eventReader{t, resp.Body, bufio.NewReader(resp.Body)}
	t.Cleanup(func() { _ = r.body.Close() })
	return r
}

// next returns the lines of the next event that has data.
func (r *eventReader) next() map[string]string {
	r.t.Helper()
	event := map[string]string{}
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		if name, value, ok := strings.Cut(line, ": "); ok {
			event[name] = value
		}
		if line == "" && event["data"] != "" {
			return event
		}
	}
}

func TestEntriesOfALogComeAsEvents(t *testing.T) {
	base, _ := serving(t)
	say(t, base, "one")
	stream := http.Header{"Accept": {"text/event-stream"}}
	r := openEvents(t, base+"/log/x/entries", stream)
	first := r.next()
	if !strings.Contains(first["data"], `"n":1,`) || !strings.Contains(first["data"], `"text":"one"`) {
		t.Errorf("got %v", first)
	}
	say(t, base, "two\nlines")
	if second := r.next(); !strings.Contains(second["data"], `"text":"two\nlines"`) || second["id"] <= first["id"] {
		t.Errorf("got %v after %v", second, first)
	}
	_ = r.body.Close()
	say(t, base, "three")
	stream.Set("Last-Event-ID", first["id"])
	r = openEvents(t, base+"/log/x/entries?after=now", stream)
	for _, want := range []string{`two`, `three`} {
		if e := r.next(); !strings.Contains(e["data"], want) {
			t.Errorf("got %v, want %s", e, want)
		}
	}
	_ = r.body.Close()
	stream.Set("Last-Event-ID", "0000000000000007_0000000000000002")
	r = openEvents(t, base+"/log/x/entries", stream)
	if e := r.next(); e["event"] != "gap" || !strings.Contains(e["data"], `"first":1`) {
		t.Errorf("got %v, want that it says what is missing", e)
	}
	if e := r.next(); !strings.Contains(e["data"], "one") {
		t.Errorf("got %v", e)
	}
}

// TestALogIsADurableStream as far as reading goes.
func TestALogIsADurableStream(t *testing.T) {
	base, _ := serving(t)
	get := func(method, query string, status int) (http.Header, string) {
		t.Helper()
		resp, body := do(t, http.DefaultClient, method, base+"/log/x/entries"+query, nil, nil)
		if resp.StatusCode != status {
			t.Fatalf("%s %s: got %d: %s", method, query, resp.StatusCode, body)
		}
		return resp.Header, body
	}
	head, _ := get("HEAD", "", 200)
	start := head.Get("Stream-Next-Offset")
	if start == "" || head.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", head)
	}
	if head, body := get("GET", "?offset=-1", 200); strings.TrimSpace(body) != "[]" || head.Get("Stream-Next-Offset") != start || head.Get("Stream-Up-To-Date") != "true" {
		t.Errorf("got %v %s of an empty stream", head, body)
	}
	say(t, base, "one")
	head, body := get("GET", "?offset="+start, 200)
	next := head.Get("Stream-Next-Offset")
	if !strings.HasPrefix(body, `[{"n":1,`) || next <= start {
		t.Errorf("got %s, next %s after %s", body, next, start)
	}
	if head, body := get("GET", "?offset=now", 200); strings.TrimSpace(body) != "[]" || head.Get("Stream-Next-Offset") != next {
		t.Errorf("got %v %s of now", head, body)
	}
	time.AfterFunc(50*time.Millisecond, func() { say(t, base, "two") })
	head, body = get("GET", "?live=long-poll&offset="+next, 200)
	if !strings.HasPrefix(body, `[{"n":2,`) || head.Get("Stream-Cursor") == "" || head.Get("Stream-Next-Offset") <= next {
		t.Errorf("got %v %s", head, body)
	}
	get("GET", "?offset=0000000000000007_0000000000000002", 410)
	get("GET", "?live=sse&offset=0000000000000007_0000000000000002", 410)
	r := openEvents(t, base+"/log/x/entries?live=sse&offset="+start, http.Header{})
	if e := r.next(); e["event"] != "data" || !strings.HasPrefix(e["data"], `[{"n":1,`) {
		t.Errorf("got %v", e)
	}
	if e := r.next(); e["event"] != "control" || !strings.Contains(e["data"], `"streamNextOffset":"`+head.Get("Stream-Next-Offset")+`","streamCursor":"0","upToDate":true`) {
		t.Errorf("got %v", e)
	}
	say(t, base, "three")
	if e := r.next(); !strings.Contains(e["data"], "three") {
		t.Errorf("got %v", e)
	}
}

func TestReadersAreBounded(t *testing.T) {
	srv, store := serveWith(t, &serve.Options{Limits: serve.Limits{SocketsPerAddr: 2, Exempt: []netip.Prefix{}}})
	srv.Start()
	var streams [2]*eventReader
	for i := range streams {
		streams[i] = openEvents(t, srv.URL+"/log/x/entries", http.Header{"Accept": {"text/event-stream"}})
	}
	for _, query := range []string{"", "?wait=1s", "?offset=now&live=long-poll", "?offset=now&live=sse"} {
		if _, resp := entries(t, srv.URL, query, 429); resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %v", query, resp.Header)
		}
	}
	_ = streams[0].body.Close()
	for { // until the server has seen it
		resp, _ := do(t, http.DefaultClient, "GET", srv.URL+"/log/x/entries", nil, nil)
		if resp.StatusCode == 200 {
			break
		}
	}
	store.away.Store(true)
	if _, resp := entries(t, srv.URL, "", 503); resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %v", resp.Header)
	}
}

// TestAnAddressFollowsSomeLogsOnly: each that is followed has the store read.
func TestAnAddressFollowsSomeLogsOnly(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Limits: serve.Limits{Exempt: []netip.Prefix{}}})
	srv.Start()
	var first *eventReader
	for i := range 100 {
		e := openEvents(t, fmt.Sprintf("%s/log/l%d/entries", srv.URL, i), http.Header{"Accept": {"text/event-stream"}})
		if i == 0 {
			first = e
		}
	}
	read := func(name string) int {
		resp, _ := do(t, http.DefaultClient, "GET", srv.URL+"/log/"+name+"/entries", nil, nil)
		return resp.StatusCode
	}
	if got := read("another"); got != http.StatusTooManyRequests {
		t.Errorf("got %d for one more log", got)
	}
	if got := read("l7"); got != http.StatusOK {
		t.Errorf("got %d for one that is read already", got)
	}
	_ = first.body.Close()
	for read("another") != http.StatusOK { // until the server has seen it
	}
}
