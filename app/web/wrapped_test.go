package web_test

import (
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"lockstep/state/memstate"
)

// A gzipWriter is what many a middleware puts in place of the answer's writer.
type gzipWriter struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (g *gzipWriter) Write(b []byte) (int, error) { return g.zip.Write(b) }

// An openWriter also says what is below it.
type openWriter struct{ *gzipWriter }

func (o openWriter) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// compressing is such a middleware: it compresses all, in whatever way.
func compressing(next http.Handler, open bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := &gzipWriter{w, gzip.NewWriter(w)}
		defer z.zip.Close()
		if open {
			next.ServeHTTP(openWriter{z}, r)
		} else {
			next.ServeHTTP(z, r)
		}
	})
}

// echoGzip is an Echo server with its middleware in front.
func echoGzip(next http.Handler) http.Handler {
	e := echo.New()
	e.Use(middleware.Gzip(), middleware.Recover(), middleware.Decompress(), middleware.RequestID())
	e.Any("/*", echo.WrapHandler(next))
	return e
}

func TestASocketOpensThroughWhatCompressesInFront(t *testing.T) {
	for name, tc := range map[string]struct {
		wrap func(http.Handler) http.Handler
		// says is what net/http logs: this one ends its compression after the upgrade, on the connection
		// that is not its any more.
		says string
	}{
		"Echo's Gzip":           {echoGzip, ""},
		"a writer that unwraps": {func(h http.Handler) http.Handler { return compressing(h, true) }, "hijacked connection from compress/gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			h := tc.wrap(newServer(t, memstate.New(nil), nil))
			var said strings.Builder
			var handlers sync.WaitGroup // a server does not wait for those of upgrades
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handlers.Add(1)
				defer handlers.Done()
				h.ServeHTTP(w, r)
			}))
			srv.Config.ErrorLog = log.New(&said, "", 0)
			srv.Start()
			defer func() {
				srv.Close()
				handlers.Wait()
				if got := said.String(); (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
					t.Errorf("the server's log has %q, want %q", got, tc.says)
				}
			}()
			c := browser(t)
			p := open(t, c, srv.URL)
			ws, status := dial(t, c, srv.URL+p.socket, http.Header{"Accept-Encoding": {"gzip, br"}})
			if status != 101 {
				t.Fatalf("got %d, want 101", status)
			}
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(click("a", "counter:lobby", 1, clock(t, ws)))); err != nil {
				t.Fatal(err)
			}
			for {
				_, m, err := ws.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(m), `"ack"`) {
					return
				}
			}
		})
	}
}

func TestASocketThatCanNotBeHadIsRefusedInASentence(t *testing.T) {
	h := newServer(t, memstate.New(nil), nil)
	whole := httptest.NewServer(h)
	defer whole.Close()
	srv := httptest.NewServer(compressing(h, false))
	defer srv.Close()
	resp, body := at(t, "GET", srv.URL+rooms(t, whole.URL, "/"), "", upgrading(), nil)
	if resp.StatusCode != http.StatusNotImplemented || !strings.Contains(body, "Unwrap") {
		t.Errorf("got %d %q, want 501 and a sentence", resp.StatusCode, body)
	}
}

func TestWhatIsCompressedInFrontIsNotCompressedTwice(t *testing.T) {
	srv := httptest.NewServer(echoGzip(newServer(t, memstate.New(nil), nil)))
	defer srv.Close()
	c := browser(t)
	_, html := do(t, c, "GET", srv.URL, nil, nil)
	script := regexp.MustCompile(`src="(/static/app\.[^"]+)"`).FindStringSubmatch(html)
	if script == nil {
		t.Fatalf("got %.60q, want a page with a script", html)
	}
	resp, err := c.Get(srv.URL + script[1]) // asks for gzip, and reads it
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !resp.Uncompressed || !strings.Contains(string(body), "WebSocket") {
		t.Errorf("got %.60q, %v, want a script that was compressed once", body, err)
	}
}
