package wslive_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"lockstep/live"
	"lockstep/live/wslive"
)

// A holder keeps what it is told to answer for itself, as a middleware does that compresses what is
// long enough.
type holder struct{ http.ResponseWriter }

func (holder) WriteHeader(int)               {}
func (h holder) Unwrap() http.ResponseWriter { return h.ResponseWriter }
func (holder) Write([]byte) (int, error)     { return 0, nil }

// A wall hides the connection.
type wall struct{ http.ResponseWriter }

func serveWrapped(t *testing.T, log *bytes.Buffer, wrap func(http.ResponseWriter) http.ResponseWriter) *httptest.Server {
	rt := live.NewRuntime(nil)
	rt.Start()
	t.Cleanup(rt.Stop)
	h := wslive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, &wslive.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(h.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("X-Kept", "yes")
		h.ServeHTTP(wrap(w), r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestTheAnswerToAnUpgradeIsNotHeldBack(t *testing.T) {
	srv := serveWrapped(t, new(bytes.Buffer), func(w http.ResponseWriter) http.ResponseWriter { return holder{w} })
	ws, resp, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if h := resp.Header; h.Get("Content-Encoding") != "" || h.Get("X-Kept") != "yes" || h.Get("Sec-Websocket-Extensions") == "" {
		t.Errorf("got %v, want what was set, and nothing of a body", h)
	}
}

func TestAnUpgradeWithoutAConnectionIsRefusedInASentence(t *testing.T) {
	log := new(bytes.Buffer)
	srv := serveWrapped(t, log, func(w http.ResponseWriter) http.ResponseWriter { return wall{w} })
	for range 3 {
		ws, resp, err := websocket.Dial(t.Context(), srv.URL, nil)
		if err == nil {
			_ = ws.CloseNow()
			t.Fatal("a websocket was opened without a connection")
		}
		if resp == nil || resp.StatusCode != http.StatusNotImplemented {
			t.Fatalf("got %v, %v, want 501", resp, err)
		}
	}
	srv.Close() // nothing is logged after that
	if n := strings.Count(log.String(), "neither Hijack nor Unwrap"); n != 1 {
		t.Errorf("got %d lines of log, want one that says what to do: %s", n, log)
	}
}
