package dev

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// asServer tells a copy of the test binary to be a server.
const asServer = "DEV_TEST_SERVER"

func TestMain(m *testing.M) {
	switch os.Getenv(asServer) {
	case "":
		os.Exit(m.Run())
	case "serves":
		serveUntilAsked(os.Getenv("ADDR"))
	}
	fmt.Fprintln(os.Stderr, "line 7: there is nothing to serve")
	os.Exit(3)
}

// serveUntilAsked serves until a request for /end.
func serveUntilAsked(addr string) {
	end := make(chan struct{})
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/end", func(http.ResponseWriter, *http.Request) { close(end) })
	go func() { _ = http.ListenAndServe(addr, nil) }() // ends with the process
	<-end
}

// newTestServer returns a server that serves, or not, and its ends that nobody
// has asked for.
func newTestServer(t *testing.T, does string) (*server, <-chan error) {
	t.Helper()
	t.Setenv(asServer, does)
	ended := make(chan error, 1)
	s := &server{ended: func(err error) { ended <- err }}
	t.Cleanup(s.stop)
	return s, ended
}

func TestAServerThatEndsByItselfSaysWhy(t *testing.T) {
	s, ended := newTestServer(t, "serves")
	addr, err := s.start(t.Context(), os.Args[0])
	if err != nil || !s.up() {
		t.Fatalf("got %v, want a server", err)
	}
	if resp, err := http.Get("http://" + addr + "/end"); err == nil {
		_ = resp.Body.Close()
	}
	if err := <-ended; !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "line 7") {
		t.Errorf("got %v, want what it said", err)
	}
	if s.up() {
		t.Error("it is said to run")
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	s, _ := newTestServer(t, "fails")
	if addr, err := s.start(t.Context(), os.Args[0]); err == nil || !strings.Contains(err.Error(), "line 7") {
		t.Errorf("got %q, %v; want what it said", addr, err)
	}
}

func TestAServerThatIsStoppedIsNoProblem(t *testing.T) {
	s, ended := newTestServer(t, "serves")
	first, err := s.start(t.Context(), os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.stop() // as often as one likes
	second, err := s.start(t.Context(), os.Args[0])
	if err != nil || first == second {
		t.Errorf("got %q after %q, %v; want another address", second, first, err)
	}
	s.stop()
	select {
	case err := <-ended:
		t.Errorf("got %v", err)
	default:
	}
}

func TestATailIsTheEnd(t *testing.T) {
	var end tail
	for i := range 10_000 {
		fmt.Fprintf(&end, "line %d\n", i)
	}
	if got := end.String(); len(got) != tailSize || !strings.HasSuffix(got, "line 9999\n") {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
}
