package browser

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestFramesAreTakenApart(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for _, c := range []struct {
		name, in string
		want     frame
		size     int
		err      error
	}{
		{"nothing", "", frame{}, 0, nil},
		{"half a head", "\x81", frame{}, 0, nil},
		{"half a length", "\x81\x7e\x01", frame{}, 0, nil},
		{"half a payload", "\x81\x05abc", frame{}, 0, nil},
		{"a text", "\x81\x03abcrest", frame{opText, true, []byte("abc")}, 5, nil},
		{"a fragment", "\x01\x03abc", frame{opText, false, []byte("abc")}, 5, nil},
		{"a longer one", "\x81\x7e\x00\x03abc", frame{opText, true, []byte("abc")}, 7, nil},
		{"a long one", "\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x70" + long, frame{opText, true, []byte(long)}, 70_010, nil},
		{"a masked one", "\x81\x83aaaaabc", frame{}, 0, errMasked},
		{"a compressed one", "\xc1\x03abc", frame{}, 0, errFrame},
		{"one that is too long", "\x81\x7f\x00\x00\x00\x00\x00\x20\x00\x00", frame{}, 0, errTooLong},
		{"one without end", "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", frame{}, 0, errTooLong},
	} {
		got, size, err := nextFrame([]byte(c.in))
		if size != c.size || !errors.Is(err, c.err) || got.op != c.want.op || got.fin != c.want.fin || !bytes.Equal(got.payload, c.want.payload) {
			t.Errorf("%s: got %+v of %d bytes, %v", c.name, got, size, err)
		}
	}
}

func TestALibraryReadsOurFrames(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	got := make(chan string)
	go serveOne(t, server, got)
	handshakeOn(t, client)
	chance := rand.New(rand.NewPCG(1, 2))
	for _, m := range []string{"a", strings.Repeat("b", 126), strings.Repeat("c", 66_000)} {
		go func() { _, _ = client.Write(appendFrame(nil, opText, []byte(m), chance)) }()
		if g := <-got; g != m {
			t.Errorf("got %d bytes %.10q, want %d of %.10q", len(g), g, len(m), m)
		}
	}
}

// A recorder is a socket that keeps what is written.
type recorder struct {
	socket
	out []byte
}

func (r *recorder) write(b []byte) error {
	r.out = append(r.out, b...)
	return nil
}

// A server that pings closes the connection of a tab that is silent.
func TestAPingIsAnswered(t *testing.T) {
	r := new(recorder)
	tab := &tab{conn: r}
	tab.frame(&loop{chance: rand.New(rand.NewPCG(1, 2))}, frame{opPing, true, []byte("ping")})
	want := appendFrame(nil, opPong, []byte("ping"), rand.New(rand.NewPCG(1, 2)))
	if !bytes.Equal(r.out, want) {
		t.Errorf("got %q, want %q", r.out, want)
	}
}

func TestAGoodbyeHasACode(t *testing.T) {
	for in, want := range map[string]int{"": 1005, "\x03": 1005, "\x03\xf4": 1012, "\x03\xf5bye": 1013} {
		if got := closeCode([]byte(in)); got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}

func FuzzNextFrame(f *testing.F) {
	f.Add([]byte("\x81\x03abc\x89\x00"))
	f.Add([]byte("\x01\x7e\x00\x01a\x80\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			fr, size, err := nextFrame(b)
			if err != nil || size == 0 {
				return
			}
			if size > len(b) || len(fr.payload) > size {
				t.Fatalf("got a frame of %d bytes out of %d", size, len(b))
			}
			b = b[size:]
		}
	})
}

func TestEventsAreTakenApart(t *testing.T) {
	var got []string
	err := events(strings.NewReader(": hi\n\ndata: a\n\nevent: x\ndata:b\r\ndata: c\r\n\r\nid: 5\n\ndata: cut off"), func(_ string, data []byte) {
		got = append(got, string(data))
	})
	if want := []string{"a", "b\nc"}; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
	if err == nil {
		t.Error("a stream that ends is no error")
	}
}

// serveOne accepts a websocket on a connection and sends what it reads to got.
func serveOne(t *testing.T, conn net.Conn, got chan<- string) {
	l := &oneListener{conn: make(chan net.Conn, 1)}
	l.conn <- conn
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ws.SetReadLimit(1 << 20)
		for {
			_, m, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			got <- string(m)
		}
	})}
	t.Cleanup(func() { _ = server.Close() })
	_ = server.Serve(l)
}

// oneListener has one connection.
type oneListener struct{ conn chan net.Conn }

func (l *oneListener) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *oneListener) Close() error   { close(l.conn); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }
