package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	echo5 "github.com/labstack/echo/v5"
	echo5middleware "github.com/labstack/echo/v5/middleware"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state/memstate"
)

// requestTime is how long the middleware of the test lets a request take. A socket takes longer.
const requestTime = time.Second

// routers are what applications of other people are made with, each with the middleware that is
// usual there: it compresses, bounds times, catches panics, logs. page and own are handlers of a
// server of the kit.
func routers() map[string]func(page, own http.Handler) http.Handler {
	return map[string]func(page, own http.Handler) http.Handler{
		"net/http": func(page, own http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/hits", page)
			mux.Handle("/live/", own)
			return http.MaxBytesHandler(mux, 1<<20)
		},
		"Echo v4": func(page, own http.Handler) http.Handler {
			e := echo.New()
			e.Use(echomiddleware.Recover(), echomiddleware.RequestID(), echomiddleware.Secure(),
				echomiddleware.BodyLimit("1M"), echomiddleware.ContextTimeout(requestTime), echomiddleware.Gzip())
			e.GET("/hits", echo.WrapHandler(page))
			e.Any("/live/*", echo.WrapHandler(own))
			return e
		},
		"Echo v5": func(page, own http.Handler) http.Handler {
			e := echo5.New()
			e.Logger = slog.New(slog.DiscardHandler)
			e.Use(echo5middleware.RequestLogger(), echo5middleware.Recover(), echo5middleware.RequestID(), echo5middleware.Secure(),
				echo5middleware.BodyLimit(1<<20), echo5middleware.ContextTimeout(requestTime), echo5middleware.Gzip())
			e.GET("/hits", echo5.WrapHandler(page))
			e.Any("/live/*", echo5.WrapHandler(own))
			return e
		},
		"chi": func(page, own http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Use(chimiddleware.RequestID, chimiddleware.Recoverer, chimiddleware.StripSlashes, chimiddleware.RequestSize(1<<20),
				chimiddleware.Timeout(requestTime), chimiddleware.Compress(5), chimiddleware.Heartbeat("/ping"))
			r.Get("/hits", page.ServeHTTP)
			r.Mount("/live", own)
			return r
		},
	}
}

// TestTheKitIsMountedInOtherPeoplesRouters has two people count at an application of somebody
// else's, behind a proxy that takes a prefix off.
func TestTheKitIsMountedInOtherPeoplesRouters(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	for name, router := range routers() {
		t.Run(name, func(t *testing.T) {
			page, own := mountable(t)
			app := httptest.NewServer(router(page, own))
			t.Cleanup(app.Close)
			front := strippingProxy(t, app.URL, "/shop") + "/shop/hits"
			ann, bob := visit(t, chromium, front), visit(t, chromium, front)
			ann.evaluate(`performance.mark('shown'), ''`)
			ann.clickOn("button")
			bob.outputs("1")
			eventually(t, "the time of a request to be over", func() error {
				if got := ann.evaluate(`String(performance.now() - performance.getEntriesByName('shown')[0].startTime > 1500)`); got != "true" {
					return fmt.Errorf("it is not")
				}
				return nil
			})
			bob.clickOn("button")
			ann.outputs("2")
			if got := ann.evaluate(`String(performance.getEntriesByType('navigation').length) + document.querySelector('#status').dataset.state`); got != "1live" {
				t.Errorf("got %s, want one page that is live", got)
			}
		})
	}
}

// outputs waits until the output of a page is a text.
func (p *page) outputs(want string) {
	p.t.Helper()
	eventually(p.t, "to be shown "+want, func() error {
		if got := p.evaluate(`document.querySelector('output').textContent`); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// mountable returns a page with a counter, and the server's own addresses.
func mountable(t *testing.T) (page, own http.Handler) {
	t.Helper()
	type hits struct{ N int64 }
	log := slog.New(slog.DiscardHandler)
	a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), &lockstep.Options{Logger: log})
	kind := lockstep.Share(a, "hits", func(h hits) templ.Component { return templ.Raw(fmt.Sprintf("<output>%d</output>", h.N)) })
	lockstep.On(kind, "hit", func(h hits, _ struct{}, _ lockstep.Call) (hits, error) { h.N++; return h, nil })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := serve.New(a, nil, &serve.Options{Logger: log, BasePath: "/shop"})
	t.Cleanup(func() {
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s.Page(func(*http.Request) templ.Component {
		room := kind.At("x")
		return templ.Join(room, templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
			return room.Form("hit").Render(templ.WithChildren(ctx, templ.Raw("<button>+1</button>")), w)
		}))
	}), s
}

// strippingProxy starts a proxy that takes a prefix off, and returns its URL.
func strippingProxy(t *testing.T, to, prefix string) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix(prefix, &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
