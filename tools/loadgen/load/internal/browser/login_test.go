package browser

import (
	"net/http"
	"net/url"
	"testing"
)

func TestALoginGoesToTheTargetsOnly(t *testing.T) {
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	l := NewLogin(http.Header{"Authorization": {"secret"}, "Cookie": {"a=1", "b=2"}, "Host": {"named.example"}},
		[]*url.URL{parse("http://plain.example:8000"), parse("https://secure.example")})
	for to, want := range map[string]bool{
		"http://plain.example/c/x": true, "ws://plain.example:9000/ws": true, "https://secure.example/login": true, "wss://secure.example/ws": true,
		"http://secure.example/": false, "ws://secure.example/ws": false, "http://other.example/": false, "https://plain.example.evil/": false,
	} {
		r := &http.Request{URL: parse(to), Header: http.Header{"Cookie": {"b=3; c=4"}}}
		l.apply(r)
		if got := r.Header.Get("Authorization") != ""; got != want || (r.Host != "") != want {
			t.Errorf("%s: got %v, want %t", to, r.Header, want)
		}
		if cookies := r.Header.Get("Cookie"); want && cookies != "b=3; c=4; a=1" || !want && cookies != "b=3; c=4" {
			t.Errorf("%s: got the cookies %q", to, cookies)
		}
	}
}
