package web_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/state"
)

// A page is what a browser has been given.
type page struct {
	socket string            // path
	forms  map[string]string // path of the form of an action, with its lane
	grants map[string]string // by topic
	user   string
	body   string
}

var (
	mainElement = regexp.MustCompile(`<main hx-ws:connect="([^"]+)" data-user="([^"]*)" data-grants="([^"]*)"`)
	formElement = regexp.MustCompile(`<form class="[^"]*" method="post" action="([^"]+)" data-topic="[^"]+" data-do="([^"]+)"`)
)

// open loads a page, as a browser that may share its cookies with others.
func open(t *testing.T, c *http.Client, url string) page {
	t.Helper()
	resp, body := do(t, c, "GET", url, nil, nil)
	p, ok := readPage(t, body)
	if !ok {
		t.Fatalf("%s: got %d, and no socket on the page", url, resp.StatusCode)
	}
	return p
}

// readPage returns what a page has; false: it is none of a topic.
func readPage(t *testing.T, body string) (p page, ok bool) {
	t.Helper()
	m := mainElement.FindStringSubmatch(body)
	if m == nil {
		return p, false
	}
	p = page{socket: html.UnescapeString(m[1]), user: m[2], forms: map[string]string{}, body: body}
	if err := json.Unmarshal([]byte(html.UnescapeString(m[3])), &p.grants); err != nil {
		t.Errorf("got the grants %s: %v", m[3], err)
	}
	for _, m := range formElement.FindAllStringSubmatch(body, -1) {
		p.forms[m[2]] = html.UnescapeString(m[1])
	}
	return p, true
}

// lane returns the lane in the address of a form.
func lane(t *testing.T, path string) string {
	t.Helper()
	u, err := url.Parse(path)
	if err != nil || u.Query().Get("lane") == "" {
		t.Fatalf("%s has no lane, %v", path, err)
	}
	return u.Query().Get("lane")
}

// form returns the path of the first form of a page's action, which counts one.
func form(t *testing.T, c *http.Client, page string) string {
	t.Helper()
	p := open(t, c, page)
	if p.forms["increment"] == "" {
		t.Fatalf("the page has the forms %v", p.forms)
	}
	return p.forms["increment"]
}

// press sends a form.
func press(t *testing.T, c *http.Client, address string, fields ...string) (*http.Response, string) {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return do(t, c, "POST", address, v, nil)
}

// rooms is the path of the socket of a page, for a client without a session, as tools are.
func rooms(t *testing.T, base, topicPath string) string {
	t.Helper()
	p := open(t, &http.Client{}, base+topicPath)
	socket, _, ok := strings.Cut(p.socket, "&t=")
	if !ok {
		t.Fatalf("the socket %s has no token", p.socket)
	}
	return socket
}

// click is an op as a message: the n-th of the client of this name on a counter.
func click(name, topic string, n int, seen int64) string {
	return fmt.Sprintf(`{"op":[%q,%d,1],"seen":%d,"t":%q,"do":"increment","in":{}}`, clientOf(name), n, seen, topic)
}

// clientOf is a client as it is written on the wire.
func clientOf(name string) string {
	var c state.Client
	copy(c[:], name)
	return c.String()
}

// counted is what the store has of a counter.
func counted(t *testing.T, store state.Store, name string) app.Count {
	t.Helper()
	return stateOf(t, store, app.Counters(), name)
}

// stateOf is the state that a store has of a topic of a kind.
func stateOf[S any](t *testing.T, store state.Store, kind state.Kind[S], key string) S {
	t.Helper()
	records, err := store.Read(t.Context(), kind.Topic(key))
	if err != nil {
		t.Fatal(err)
	}
	s, err := kind.Read(records[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
