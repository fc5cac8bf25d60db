package web

import (
	"net/http"
	"net/url"
	"strings"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/serve"
)

// wayBack leads from a page that explains what went wrong to where the person came from: the page
// of the topic that the request was for, else the one that has sent it, else the lobby. All of
// them are below base.
func wayBack(r *http.Request, base string) pages.Way {
	topic, ok := topicAt(r.URL.Path)
	if !ok {
		topic, ok = referrer(r, base)
	}
	switch {
	case ok && isPage(r.Method) && r.URL.Path == app.Path(topic):
		return pages.Way{To: base + app.Path(topic), Text: "Try again"}
	case ok && topic != app.Lobby:
		return pages.Way{To: base + app.Path(topic), Text: "Back to " + nameOf(topic)}
	}
	return pages.Way{To: base + app.Path(app.Lobby), Text: "To the lobby"}
}

func isPage(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// referrer returns the topic whose page has sent the request, if one of this server has.
func referrer(r *http.Request, base string) (topic string, ok bool) {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host == "" || u.Host != r.Host {
		return "", false
	}
	path, below := strings.CutPrefix(u.Path, base)
	if !below {
		return "", false
	}
	return topicAt(path)
}

// canonical returns a name that was written with capitals.
func canonical(name string) (string, bool) {
	lower := strings.ToLower(name)
	return lower, lower != name && app.ValidName(lower)
}

// meant returns what may have been meant with a name that is none: "my-kitchen" for "My kitchen!".
// "": nothing.
func meant(name string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 64 {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}

// badName is the answer to a name that nothing of a kind has.
func badName(kind, name, base string) error {
	what := app.Called(kind)
	p := &serve.Problem{
		Status: http.StatusNotFound, Title: "No such " + what,
		Text: "The name of a " + what + " is 1 to 64 lower-case letters, digits and dashes.",
	}
	if other := meant(name); other != "" {
		p.Other = serve.Link{To: base + app.Path(kind+":"+other), Text: "Open " + other}
	}
	return p
}
