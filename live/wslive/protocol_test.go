package wslive_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	xwebsocket "golang.org/x/net/websocket"

	"lockstep/live/wslive"
)

// modes are the two ways in which a connection is served.
func modes(t *testing.T, f func(t *testing.T, opts *wslive.Options)) {
	t.Run("by descriptor", func(t *testing.T) { f(t, nil) })
	t.Run("by net.Conn", func(t *testing.T) { f(t, &wslive.Options{Plain: true}) })
}

// A frame as it goes over the wire (RFC 6455 §5.2).
type frame struct {
	first   byte // FIN, RSV and opcode
	payload []byte
}

// The first bytes of the frames that tests send.
const (
	fin      = 0x80
	more     = 0x00
	cont     = 0x0
	text     = 0x1
	bin      = 0x2
	closing  = 0x8
	ping     = 0x9
	pong     = 0xa
	rsv1     = 0x40 // compressed
	reserved = 0x70 // RSV1, 2 and 3
)

// bytes returns the frame with a mask, as clients must send it.
func (f frame) bytes() []byte {
	key := [4]byte{1, 2, 3, 4}
	b := []byte{f.first}
	switch n := len(f.payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i, c := range f.payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// A peer is a client that speaks frames and helps with nothing.
type peer struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

// connect upgrades a connection; early is sent in one write with the request.
func connect(t *testing.T, url string, early []byte) *peer {
	t.Helper()
	return connectWith(t, url, "", early)
}

func connectWith(t *testing.T, url, header string, early []byte) *peer {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	request := "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + header + "\r\n"
	p := &peer{t: t, c: c, r: bufio.NewReader(c)}
	p.write(append([]byte(request), early...))
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("got %s %v", resp.Status, resp.Header)
	}
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.c.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(frames ...frame) {
	p.t.Helper()
	var b []byte
	for _, f := range frames {
		b = append(b, f.bytes()...)
	}
	p.write(b)
}

// read returns the next frame, which servers don't mask.
func (p *peer) read() (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return frame{}, err
	}
	n := uint64(head[1])
	switch n {
	case 126, 127:
		ext := make([]byte, 2+6*(n-126))
		if _, err := io.ReadFull(p.r, ext); err != nil {
			return frame{}, err
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-len(ext)), ext...))
	}
	f := frame{head[0], make([]byte, n)}
	_, err := io.ReadFull(p.r, f.payload)
	return f, err
}

// until reads frames until one is as wanted; others than text are errors.
func (p *peer) until(first byte, part string) {
	p.t.Helper()
	for {
		f, err := p.read()
		if err != nil {
			p.t.Fatalf("waiting for frame %#x with %q: %v", first, part, err)
		}
		if f.first == first && bytes.Contains(f.payload, []byte(part)) {
			return
		}
		if f.first != fin|text {
			p.t.Fatalf("got frame %#x with %q, want %#x with %q", f.first, f.payload, first, part)
		}
	}
}

// click is an op that echo acknowledges.
func click(op string) frame {
	return frame{fin | text, []byte(fmt.Sprintf(`{"do":"a","op":[%q,1,1]}`, op))}
}

func closeWith(code uint16, reason string) frame {
	return frame{fin | closing, append(binary.BigEndian.AppendUint16(nil, code), reason...)}
}

// TestFramesThatAreAllowed are cases of the Autobahn test suite (sections 1, 2
// and 5) after which the connection must work as before.
func TestFramesThatAreAllowed(t *testing.T) {
	op := click("fragmented").payload
	var single []frame // one byte in each frame
	for i := range op {
		single = append(single, frame{more | cont, op[i : i+1]})
	}
	single[0].first = more | text
	single[len(single)-1].first = fin | cont
	for _, c := range []struct {
		name string
		send []frame
		want byte
		part string
	}{
		{"1.1 a message", []frame{click("one")}, fin | text, `"ack":[["one",1]]`},
		{"2.1 a ping without payload", []frame{{fin | ping, nil}}, fin | pong, ""},
		{"2.4 a ping of 125 bytes", []frame{{fin | ping, bytes.Repeat([]byte{0xfe}, 125)}}, fin | pong, strings.Repeat("\xfe", 125)},
		{"2.7 a pong that nobody asked for", []frame{{fin | pong, []byte("x")}, click("two")}, fin | text, `"ack":[["two",1]]`},
		{"2.10 ten pings", slices.Concat(slices.Repeat([]frame{{fin | ping, []byte("p")}}, 9), []frame{{fin | ping, []byte("last")}}), fin | pong, "last"},
		{"5.3 a message in two frames", []frame{{more | text, op[:9]}, {fin | cont, op[9:]}}, fin | text, `"ack":[["fragmented",1]]`},
		{"5.6 a ping between them", []frame{{more | text, op[:9]}, {fin | ping, []byte("between")}, {fin | cont, op[9:]}}, fin | pong, "between"},
		{"5.8 a message in frames of one byte", single, fin | text, `"ack":[["fragmented",1]]`},
		{"5.1 empty frames between", []frame{{more | text, nil}, {more | cont, op}, {fin | cont, nil}}, fin | text, `"ack":[["fragmented",1]]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			modes(t, func(t *testing.T, opts *wslive.Options) {
				_, url := serveWith(t, echo{}, opts)
				p := connect(t, url, nil)
				p.send(c.send...)
				for range strings.Count(c.name, "ten pings") * 9 {
					p.until(fin|pong, "p")
				}
				p.until(c.want, c.part)
				if c.want == fin|pong && strings.Contains(c.name, "between") {
					p.until(fin|text, `"ack":[["fragmented",1]]`)
				}
				p.send(click("afterwards"))
				p.until(fin|text, `"ack":[["afterwards",1]]`)
			})
		})
	}
}

// TestFramesThatEndTheConnection are cases of the Autobahn test suite (sections
// 2 to 7) and the limits of this server.
func TestFramesThatEndTheConnection(t *testing.T) {
	long := []byte(strings.Repeat("x", 4097))
	for _, c := range []struct {
		name string
		send []byte
		want int
	}{
		{"2.5 a ping of 126 bytes", frame{fin | ping, make([]byte, 126)}.bytes(), 1002},
		{"3 reserved bits", frame{fin | reserved | text, []byte("x")}.bytes(), 1002},
		{"4.1 a reserved opcode", frame{fin | 0x3, nil}.bytes(), 1002},
		{"4.2 a reserved control opcode", frame{fin | 0xb, nil}.bytes(), 1002},
		{"5.1 a fragmented ping", frame{more | ping, nil}.bytes(), 1002},
		{"5.9 a continuation of nothing", frame{fin | cont, []byte("x")}.bytes(), 1002},
		{"5.15 a new message inside another", append(frame{more | text, []byte("x")}.bytes(), frame{fin | text, []byte("y")}.bytes()...), 1002},
		{"6.3 text that is not UTF-8", frame{fin | text, []byte("\xce\xba\xed\xa0\x80")}.bytes(), 1007},
		{"7.1 a close", closeWith(1000, "bye").bytes(), 1000},
		{"7.1.2 two", append(closeWith(1000, "").bytes(), closeWith(1001, "").bytes()...), 1000},
		{"7.1.3 a message after it", append(closeWith(1000, "").bytes(), click("late").bytes()...), 1000},
		{"7.3.1 a close without code", frame{fin | closing, nil}.bytes(), 1005},
		{"7.3.2 a close of one byte", frame{fin | closing, []byte{3}}.bytes(), 1002},
		{"7.3.6 a close that is too long", closeWith(1000, strings.Repeat("x", 124)).bytes(), 1002},
		{"7.7.13 a code of an application", closeWith(4999, "").bytes(), 4999},
		{"7.9.1 code 0", closeWith(0, "").bytes(), 1002},
		{"7.9.4 code 1005", closeWith(1005, "").bytes(), 1002},
		{"7.9.8 code 1016", closeWith(1016, "").bytes(), 1002},
		{"an unmasked frame", []byte{fin | text, 1, 'x'}, 1002},
		{"a message that is too long", frame{fin | text, long}.bytes(), 1009},
		{"one in many frames", append(frame{more | text, long[:4000]}.bytes(), frame{fin | cont, long[:97]}.bytes()...), 1009},
		{"the promise of 2 GB", []byte{fin | text, 0x80 | 127, 0, 0, 0, 0, 0x80, 0, 0, 0, 1, 2, 3, 4, 5}, 1009},
		{"a length with its first bit set", []byte{fin | text, 0x80 | 127, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
		{"many pings", bytes.Repeat(frame{fin | ping, nil}.bytes(), 200), 1008},
		{"many pongs", bytes.Repeat(frame{fin | pong, []byte("x")}.bytes(), 200), 1008},
		{"many pings within a message", append(frame{more | text, []byte("x")}.bytes(), bytes.Repeat(frame{fin | ping, nil}.bytes(), 200)...), 1008},
		{"many frames without content", append(frame{more | text, nil}.bytes(), bytes.Repeat(frame{more | cont, nil}.bytes(), 300)...), 1008},
		{"a binary message", frame{fin | bin, []byte("x")}.bytes(), 1003},
	} {
		t.Run(c.name, func(t *testing.T) {
			modes(t, func(t *testing.T, opts *wslive.Options) {
				rt, url := serveWith(t, echo{}, opts)
				other := connect(t, url, nil)
				p := connect(t, url, nil)
				p.write(c.send)
				if got := p.endedAfter(c.send); got != c.want {
					t.Errorf("got close code %d, want %d", got, c.want)
				}
				other.send(click("other"))
				other.until(fin|text, `"ack":[["other",1]]`)
				waitSessions(t, rt, 1)
			})
		})
	}
}

// endedAfter is ended for a peer that answers a close frame, unless it has sent
// one itself.
func (p *peer) endedAfter(sent []byte) int {
	p.t.Helper()
	for {
		f, err := p.read()
		if err != nil {
			p.t.Fatalf("no close frame: %v", err)
		}
		if f.first != fin|closing {
			continue
		}
		if sent[0] != fin|closing {
			_, _ = p.c.Write(frame{fin | closing, f.payload}.bytes()) // the server may have ended it already
		}
		if len(f.payload) < 2 {
			return 1005
		}
		return int(binary.BigEndian.Uint16(f.payload))
	}
}

func TestWhatComesWithTheRequestIsNotLost(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		early := append(click("early").bytes(), click("half").bytes()[:7]...)
		p := connect(t, url, early)
		p.until(fin|text, `"early"`)
		p.write(click("half").bytes()[7:])
		p.until(fin|text, `"half"`)
	})
}

// TestAnotherClientLibrary speaks with golang.org/x/net/websocket, which shares
// no code with the library of the server.
func TestAnotherClientLibrary(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		rt, url := serveWith(t, echo{}, opts)
		ws, err := xwebsocket.Dial("ws"+strings.TrimPrefix(url, "http"), "", url)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			op := fmt.Sprintf("op-%d", i)
			if err := xwebsocket.Message.Send(ws, fmt.Sprintf(`{"do":"a","op":[%q,1,1]}`, op)); err != nil {
				t.Fatal(err)
			}
		}
		seen := 0
		for seen < 1000 {
			var m string
			if err := xwebsocket.Message.Receive(ws, &m); err != nil {
				t.Fatal(err)
			}
			seen += strings.Count(m, `"op-`)
		}
		if err := ws.Close(); err != nil {
			t.Fatal(err)
		}
		waitSessions(t, rt, 0)
	})
}
