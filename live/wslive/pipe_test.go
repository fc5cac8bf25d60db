package wslive_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"lockstep/live"
	"lockstep/live/wslive"
)

// A site is a handler that is served in memory, so that a test may run in a
// synctest bubble: hours pass at once there.
type site struct {
	t   *testing.T
	rt  *live.Runtime
	h   *wslive.Handler
	log *bytes.Buffer // of the runtime
}

// newSite starts a handler. stop ends it, within the bubble.
func newSite(t *testing.T, view live.View, opts wslive.Options) *site {
	return newSiteFor(t, func(*live.Runtime) live.View { return view }, opts)
}

// newSiteFor is newSite for views that need the runtime.
func newSiteFor(t *testing.T, view func(*live.Runtime) live.View, opts wslive.Options) *site {
	opts.Plain = true // a bubble can't see into epoll
	log := new(bytes.Buffer)
	rt := live.NewRuntime(&live.Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	rt.Start()
	return &site{t, rt, wslive.NewHandler(rt, func(*http.Request) live.View { return view(rt) }, &opts), log}
}

func (s *site) stop() {
	s.rt.Stop()
	s.h.Close()
}

// A visitor is a peer in memory that reads all it is sent, and answers pings
// while it is told to.
type visitor struct {
	peer
	reading sync.WaitGroup

	mu      sync.Mutex // guards the rest
	answers bool
	frames  []frame
	pings   []time.Time
	code    int       // of the close frame; 0: none has come
	ended   time.Time // zero: it has not
}

// enter connects a visitor; header is what it asks for beside the upgrade. It
// leaves when the test ends.
func (s *site) enter(header http.Header, answers bool) *visitor {
	v, theirs := s.meet()
	v.answers = answers
	v.reading.Go(v.read)
	s.upgrade(header, theirs)
	return v
}

// meet returns a visitor that does not read yet, and its peer.
func (s *site) meet() (v *visitor, theirs net.Conn) {
	ours, theirs := net.Pipe()
	return &visitor{peer: peer{t: s.t, c: ours, r: bufio.NewReader(ours)}}, theirs
}

// upgrade makes the handler serve a connection.
func (s *site) upgrade(header http.Header, theirs net.Conn) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	s.h.ServeHTTP(&taken{httptest.NewRecorder(), theirs}, r)
}

// taken is a response whose connection can be taken over.
type taken struct {
	*httptest.ResponseRecorder
	c net.Conn
}

func (w *taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return &headless{Conn: w.c}, bufio.NewReadWriter(bufio.NewReader(w.c), bufio.NewWriter(w.c)), nil
}

// headless is a connection without the answer to the upgrade, which is the first
// that is written: the peer begins with the websocket.
type headless struct {
	net.Conn
	answered bool // by the goroutine that upgrades
}

func (h *headless) Write(b []byte) (int, error) {
	if !h.answered {
		h.answered = true
		return len(b), nil
	}
	return h.Conn.Write(b)
}

// read takes what comes until nothing does.
func (v *visitor) read() {
	for {
		f, err := v.peer.read()
		v.mu.Lock()
		switch {
		case err != nil:
			v.ended = time.Now()
			v.mu.Unlock()
			_ = v.c.Close()
			return
		case f.first == fin|closing && v.code == 0:
			v.code = 1005
			if len(f.payload) >= 2 {
				v.code = int(binary.BigEndian.Uint16(f.payload))
			}
		case f.first == fin|ping:
			v.pings = append(v.pings, time.Now())
		}
		v.frames = append(v.frames, f)
		answer := v.answers && f.first == fin|ping
		v.mu.Unlock()
		if answer {
			_, _ = v.c.Write(frame{fin | pong, f.payload}.bytes()) // it may have ended
		}
	}
}

// try sends until the connection ends: it reports false if it has.
func (v *visitor) try(b []byte) bool {
	_, err := v.c.Write(b)
	return err == nil
}

// leave ends the connection and waits for the last that has come.
func (v *visitor) leave() {
	_ = v.c.Close()
	v.reading.Wait()
}

func (v *visitor) state() (code int, ended time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.code, v.ended
}

func (v *visitor) pinged() []time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pings
}

// got counts the frames that begin with first and contain part.
func (v *visitor) got(first byte, part string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.frames {
		if f.first == first && bytes.Contains(f.payload, []byte(part)) {
			n++
		}
	}
	return n
}
