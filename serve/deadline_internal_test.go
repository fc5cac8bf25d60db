package serve

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// handled is a handler as a server has it that logs nothing.
func handled(h handler) http.Handler {
	return (&problemPages{log: slog.New(slog.DiscardHandler)}).handled(h)
}

// TestAClientThatTakesNothingIsCutOff asks for more than the kernel buffers,
// and reads nothing.
func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	srv := httptest.NewServer(handled(deadlines(50 * time.Millisecond)(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write(make([]byte, 64<<20))
		ended <- err
		return err
	})))
	defer srv.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want that the time is over", err)
		}
	case <-time.After(30 * time.Second):
		conn.Close() // or the server can't be closed
		t.Error("it is still served")
	}
}

// TestAnAnswerIsWrittenInChunks: each has its own time, however long the whole
// takes, and nothing is lost on the way.
func TestAnAnswerIsWrittenInChunks(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 3*chunk/16)
	body = append(body, "the rest"...)
	w := httptest.NewRecorder()
	handled(deadlines(time.Minute)(func(w http.ResponseWriter, _ *http.Request) error {
		return sendBody(w, http.StatusOK, "text/plain", body)
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if !bytes.Equal(w.Body.Bytes(), body) {
		t.Errorf("got %d bytes, want %d, or others", w.Body.Len(), len(body))
	}
}
