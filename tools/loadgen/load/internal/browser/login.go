package browser

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// A Login is what goes with requests to the targets so that they are answered: headers, and the
// user of a target's URL. It goes nowhere else, whatever a page names as its socket or redirects
// to, and over TLS only if all targets of the host have that. It is not changed after NewLogin, and
// may be used concurrently; nil has nothing to add.
type Login struct {
	header http.Header
	hosts  map[string]host // by name, without the port
}

// A host is what is known of the host of targets.
type host struct {
	plain bool          // some target of it is without TLS
	user  *url.Userinfo // nil: none
}

// NewLogin returns the login for targets. Header may be nil.
func NewLogin(header http.Header, targets []*url.URL) *Login {
	l := &Login{header: header, hosts: make(map[string]host)}
	for _, u := range targets {
		h := l.hosts[u.Hostname()]
		h.plain = h.plain || u.Scheme == "http"
		if u.User != nil {
			h.user = u.User
		}
		l.hosts[u.Hostname()] = h
	}
	return l
}

// apply adds the login to a request of which nobody else has a copy.
func (l *Login) apply(r *http.Request) {
	if l == nil {
		return
	}
	h, ok := l.hosts[r.URL.Hostname()]
	if !ok || !h.plain && r.URL.Scheme != "https" && r.URL.Scheme != "wss" {
		return
	}
	if h.user != nil {
		password, _ := h.user.Password()
		r.SetBasicAuth(h.user.Username(), password)
	}
	for name, values := range l.header {
		switch name {
		case "Cookie":
			r.Header.Set(name, withCookies(r.Header.Get(name), values))
		case "Host":
			r.Host = values[len(values)-1]
		default:
			r.Header[name] = values
		}
	}
}

// withCookies adds cookies to those that a page has set, which win over others of the same name.
func withCookies(page string, more []string) string {
	all := page
	for _, c := range more {
		name, _, _ := strings.Cut(c, "=")
		if !strings.Contains("; "+page, "; "+name+"=") {
			all = strings.TrimPrefix(all+"; "+c, "; ")
		}
	}
	return all
}

// A withLogin adds a login to every request of a client, those that follow a redirect included.
type withLogin struct {
	http.RoundTripper
	login *Login
}

// RoundTrip implements http.RoundTripper, which must not change the request.
func (t withLogin) RoundTrip(r *http.Request) (*http.Response, error) {
	mine := *r
	if mine.Header = maps.Clone(r.Header); mine.Header == nil {
		mine.Header = make(http.Header)
	}
	t.login.apply(&mine)
	return t.RoundTripper.RoundTrip(&mine)
}

// CloseIdleConnections has http.Client.CloseIdleConnections reach the transport.
func (t withLogin) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// A RedirectError says that another page came in place of the one that was asked for, and why it is
// of no use.
type RedirectError struct {
	To  string // without its query, which may have a secret
	Err error
}

func (e *RedirectError) Error() string { return "it leads to " + e.To + ": " + e.Err.Error() }

// Unwrap returns why the page is of no use.
func (e *RedirectError) Unwrap() error { return e.Err }

// redirected is err, or a RedirectError if the page that has come is another one.
func redirected(asked *url.URL, came *http.Request, err error) error {
	to := came.URL
	if err == nil || to.Host == asked.Host && to.Path == asked.Path {
		return err
	}
	return &RedirectError{To: (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String(), Err: err}
}
