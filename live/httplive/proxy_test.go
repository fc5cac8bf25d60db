package httplive_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"lockstep/live"
	"lockstep/live/httplive"
)

// behindProxy puts one of Go's proxies in front of a site, as it comes, and returns its address.
func behindProxy(t *testing.T, s *site) string {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ErrorLog: log.New(t.Output(), "", 0),
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// headed sends messages as a page does: in the header, without a body.
func headed(t *testing.T, url string, messages ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(httplive.MessagesHeader, strings.Join(messages, ", "))
	return http.DefaultClient.Do(req)
}

// TestNoStreamIsCutOffByAProxy: one in fifty was whose messages came in the body.
func TestNoStreamIsCutOffByAProxy(t *testing.T) {
	s := newSite(t, echo{}, &httplive.Options{StreamTime: 2 * time.Millisecond})
	at := behindProxy(t, s)
	for i := range 500 {
		resp, err := headed(t, at+"?stream=1", `{"hello":2}`)
		if err != nil {
			t.Fatal(err)
		}
		events(resp.Body, func(a answer) {
			if a.code != 0 && a.code != live.CodeNormal {
				t.Fatalf("stream %d ended with %d, want %d", i, a.code, live.CodeNormal)
			}
		})
	}
}

// TestNoLongAnswerIsCutOffByAProxy, although a proxy passes on the first part of it before it has
// the rest.
func TestNoLongAnswerIsCutOffByAProxy(t *testing.T) {
	_, s := numbers(t, live.RoomsOptions[int]{
		Order: func(n int) (uint64, uint64) { return 1, uint64(n) },
	})
	at := behindProxy(t, s)
	for i := range 500 {
		resp, err := headed(t, at, `{"hello":2}`, fmt.Sprintf(`{"do":"a","op":["op-%d",1,1]}`, i))
		if err != nil {
			t.Fatal(err)
		}
		var code live.Code
		events(resp.Body, func(a answer) { code = a.code })
		if code != live.CodeNormal {
			t.Fatalf("exchange %d ended with %d, want %d", i, code, live.CodeNormal)
		}
	}
}

func TestMessagesComeInTheHeaderToo(t *testing.T) {
	s := newSite(t, echo{}, nil)
	op := func(name string) string { return fmt.Sprintf(`{"do":"a","op":[%q,1,1]}`, name) }
	ask := func(body string, values ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header[httplive.MessagesHeader] = values
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		events(resp.Body, func(a answer) { all += a.message })
		return resp.StatusCode, all
	}
	for name, c := range map[string]struct {
		body   string
		values []string
		acked  []string
	}{
		"one":                    {values: []string{op("one")}, acked: []string{"one"}},
		"a list":                 {values: []string{op("one") + ", " + op("two")}, acked: []string{"one", "two"}},
		"two lines":              {values: []string{op("one"), op("two")}, acked: []string{"one", "two"}},
		"beside a body":          {body: op("three"), values: []string{op("one"), op("two")}, acked: []string{"one", "two", "three"}},
		"none":                   {values: []string{""}},
		"text that is not ASCII": {values: []string{`{"do":"\u00e4","op":["one",1,1]}`}, acked: []string{"one"}},
	} {
		status, got := ask(c.body, c.values...)
		if status != http.StatusOK {
			t.Errorf("%s: got %d", name, status)
		}
		for _, op := range c.acked {
			if !strings.Contains(got, `"`+op+`"`) {
				t.Errorf("%s: got %s, want %s acknowledged", name, got, op)
			}
		}
	}
	for name, c := range map[string]struct {
		value string
		want  int
	}{
		"no JSON":            {"hello", http.StatusBadRequest},
		"a bracket more":     {op("one") + "]", http.StatusBadRequest},
		"two lists":          {op("one") + "],[" + op("two"), http.StatusBadRequest},
		"cut off":            {op("one") + `, {"do":`, http.StatusBadRequest},
		"many messages":      {strings.Repeat("{}, ", httplive.MaxMessages) + "{}", http.StatusRequestEntityTooLarge},
		"many bytes":         {`"` + strings.Repeat("x", httplive.MaxBody) + `"`, http.StatusRequestEntityTooLarge},
		"no comma between":   {op("one") + op("two"), http.StatusBadRequest},
		"a comma at the end": {op("one") + ",", http.StatusBadRequest},
	} {
		if status, got := ask("", c.value); status != c.want {
			t.Errorf("%s: got %d and %s, want %d", name, status, got, c.want)
		}
	}
}
