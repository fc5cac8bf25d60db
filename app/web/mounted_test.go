package web_test

import (
	"context"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state/memstate"
)

type hits struct{ N int64 }

// mountedIn returns an Echo application of somebody else's that has a counter at /hits, and the
// addresses of its server at /live.
func mountedIn(t *testing.T, opts *serve.Options) *echo.Echo {
	t.Helper()
	a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), &lockstep.Options{Logger: slog.New(slog.DiscardHandler)})
	kind := lockstep.Share(a, "hits", func(h hits) templ.Component { return templ.Raw(fmt.Sprintf("<output>%d</output>", h.N)) })
	lockstep.On(kind, "hit", func(h hits, _ struct{}, _ lockstep.Call) (hits, error) { h.N++; return h, nil })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	s := serve.New(a, nil, opts)
	t.Cleanup(func() {
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	e := echo.New()
	e.Use(middleware.Recover(), middleware.RequestID(), middleware.Gzip())
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "the shop") })
	e.GET("/hits", echo.WrapHandler(s.Page(func(*http.Request) templ.Component {
		room := kind.At("x")
		return templ.Join(room, room.Form("hit"))
	})))
	e.Any("/live/*", echo.WrapHandler(s))
	return e
}

var (
	mountedSocket = regexp.MustCompile(`hx-ws:connect="([^"]+)"`)
	mountedForm   = regexp.MustCompile(`<form action="([^"]+)"`)
	mountedFiles  = regexp.MustCompile(`(?:src|href)="(/[^"]+)"`)
)

// TestACounterIsMountedInAnApplication of Echo's, with its usual middleware, behind a proxy that
// takes a prefix off: its files are found, its socket connects, and its form counts.
func TestACounterIsMountedInAnApplication(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, c := range map[string]struct {
		prefix  string // that the proxy takes off
		says    bool   // and says so
		changes bool   // it changes the Host header
		opts    serve.Options
	}{
		"without a proxy":                  {},
		"behind a proxy that says it":      {prefix: "/shop", says: true, opts: serve.Options{TrustedProxies: loopback}},
		"behind a proxy that says nothing": {prefix: "/shop/counters", opts: serve.Options{BasePath: "/shop/counters"}},
		"behind a proxy that changes the host": {
			prefix: "/shop", changes: true, opts: serve.Options{BasePath: "/shop", Origins: []string{"http://127.0.0.1:*"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := httptest.NewServer(mountedIn(t, &c.opts))
			t.Cleanup(app.Close)
			front := stripping(t, app.URL, c.prefix, c.says, c.changes)
			client := browser(t)
			resp, page := do(t, client, "GET", front+c.prefix+"/hits", nil, nil)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", resp.StatusCode, page)
			}
			for _, m := range mountedFiles.FindAllStringSubmatch(page, -1) {
				if resp, _ := do(t, client, "GET", front+m[1], nil, nil); resp.StatusCode != http.StatusOK {
					t.Errorf("%s: got %d", m[1], resp.StatusCode)
				}
			}
			socket := front + html.UnescapeString(mountedSocket.FindStringSubmatch(page)[1])
			u, err := url.Parse(front)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Origin": {front}}
			for _, cookie := range client.Jar.Cookies(u.JoinPath(c.prefix, "/")) {
				header.Add("Cookie", cookie.String())
			}
			ws, resp, err := websocket.Dial(t.Context(), socket, &websocket.DialOptions{HTTPHeader: header})
			if err != nil {
				t.Fatalf("%s: %v, %v", socket, resp, err)
			}
			defer func() { _ = ws.CloseNow() }()
			form := front + html.UnescapeString(mountedForm.FindStringSubmatch(page)[1])
			resp, body := do(t, client, "POST", form, url.Values{}, http.Header{"Referer": {front + c.prefix + "/hits"}, "Origin": {front}})
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != c.prefix+"/hits" {
				t.Errorf("got %d to %q %s", resp.StatusCode, resp.Header.Get("Location"), body)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for {
				_, m, err := ws.Read(ctx)
				if err != nil {
					t.Fatalf("the tab is not shown what was counted: %v", err)
				}
				if strings.Contains(string(m), "<output>1</output>") {
					return
				}
			}
		})
	}
}

// stripping starts a proxy that takes a prefix off; "": there is none.
func stripping(t *testing.T, to, prefix string, says, changes bool) string {
	t.Helper()
	if prefix == "" {
		return to
	}
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if !changes {
			r.Out.Host = r.In.Host
		}
		if says {
			r.SetXForwarded()
			r.Out.Header.Set("X-Forwarded-Prefix", prefix)
		}
	}}
	srv := httptest.NewServer(http.StripPrefix(prefix, proxy))
	t.Cleanup(srv.Close)
	return srv.URL
}
