package dev

import (
	"bytes"
	_ "embed" // of the script
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

//go:embed reload.js
var reloadScript []byte

// Where the script of pages and its stream of events are.
const (
	scriptPath = "/_dev/reload.js"
	eventsPath = "/_dev/events"
)

// handler passes requests on to the server, and puts a script into its pages.
func handler(t *tabs) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+eventsPath, t.serveEvents)
	mux.HandleFunc("GET "+scriptPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(reloadScript) // the tab may have gone
	})
	mux.Handle("/", &proxy{t, &http.Transport{DisableCompression: true}})
	return mux
}

// A proxy passes requests on. While the server is replaced they wait.
type proxy struct {
	tabs      *tabs
	transport http.RoundTripper
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for {
		s, changed := p.tabs.get()
		if s.server != "" {
			p.pass(w, r, s)
			return
		}
		if s.Problem != "" {
			writeProblem(w, s)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// pass keeps the host, to which the server compares the origin of a socket.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, s state) {
	to := httputil.ReverseProxy{
		Transport: p.transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: s.server})
			pr.Out.Host = pr.In.Host
			pr.Out.Header.Del("Accept-Encoding") // the script is put into plain text
		},
		ModifyResponse: func(resp *http.Response) error { return addScript(resp, s) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "dev: "+err.Error(), http.StatusBadGateway)
		},
	}
	// Without this http.Server closes the request's body when the answer begins, while the transport
	// may still look whether it has ended: then the answer is cut off. HTTP/2 needs no leave for it.
	_ = http.NewResponseController(w).EnableFullDuplex()
	to.ServeHTTP(w, r)
}

// scriptTag is the tag for a page that shows a state.
func scriptTag(s state) string {
	return fmt.Sprintf(`<script src="%s?generation=%d&amp;styles=%d" defer></script>`, scriptPath, s.Generation, s.Styles)
}

// addScript puts the script into a page. What has no head is none.
func addScript(resp *http.Response, s state) error {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // it was read to its end
	if before, after, isPage := bytes.Cut(body, []byte("</head>")); isPage {
		body = fmt.Appendf(nil, "%s%s</head>%s", before, scriptTag(s), after)
		resp.Header.Del("ETag") // it is of other bytes
		resp.Header.Set("Content-Length", fmt.Sprint(len(body)))
		resp.ContentLength = int64(len(body))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// writeProblem is the page while there is no server.
func writeProblem(w http.ResponseWriter, s state) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = fmt.Fprintf(w, "<!doctype html><title>dev</title>%s<pre>%s</pre>", scriptTag(s), html.EscapeString(s.Problem)) // the tab may have gone
}
