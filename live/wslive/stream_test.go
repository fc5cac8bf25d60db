package wslive_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/wslive"
)

// scribe is a view that writes down the actions it is given.
type scribe struct {
	echo
	mu      sync.Mutex
	actions []string
}

func (v *scribe) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.actions = append(v.actions, e.Do)
	s.Ack(e.Op)
	return nil
}

// understand is a reference for the whole of what a connection does with bytes:
// it returns the actions that the view is to be given.
func understand(p []byte, compressed bool) (actions []string) {
	malformed := 0
	for _, m := range messagesIn(p, compressed) {
		e, err := htmx.ParseEvent(m)
		if err != nil {
			malformed++
		}
		if malformed > 16 {
			break
		}
		if err == nil && e.Kind != htmx.HelloEvent {
			actions = append(actions, e.Do)
		}
	}
	return actions
}

// messagesIn returns the messages before the first fault.
func messagesIn(p []byte, compressed bool) (all [][]byte) {
	var message []byte
	open, marked := false, false
	frames, controls := 0, 0
	for len(p) > 0 {
		f, size, ok := frameIn(p)
		if !ok {
			break
		}
		p = p[size:]
		op, ends := f.first&0x0f, f.first&fin != 0
		first := op == text || op == bin
		switch {
		case f.first&0x30 != 0, f.first&rsv1 != 0 && !(compressed && first && !open):
			return all
		case op == ping || op == pong:
			controls++
			if controls > 128 || !ends || len(f.payload) > 125 {
				return all
			}
			continue
		case op > bin, first == open:
			return all
		}
		if first {
			open, marked, message, frames = true, f.first&rsv1 != 0, nil, 0
			if op == bin && ends {
				return all
			}
		}
		frames++
		message = append(message, f.payload...)
		if frames > 256 || len(message) > htmx.MaxEvent {
			return all
		}
		if !ends {
			continue
		}
		open = false
		if marked {
			var err error
			message, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(append(message, "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...))), htmx.MaxEvent+1))
			if err != nil || len(message) > htmx.MaxEvent {
				return all
			}
		}
		if !utf8.Valid(message) {
			return all
		}
		all = append(all, message)
	}
	return all
}

// frameIn returns the masked frame that p begins with, and its size.
func frameIn(p []byte) (f frame, size int, ok bool) {
	if len(p) < 2 || p[1]&0x80 == 0 {
		return f, 0, false
	}
	n, size := uint64(p[1]&0x7f), 2
	if extended := map[uint64]int{126: 2, 127: 8}[n]; extended > 0 {
		if len(p) < 2+extended {
			return f, 0, false
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-extended), p[2:2+extended]...))
		size += extended
	}
	if n > htmx.MaxEvent || len(p) < size+4+int(n) {
		return f, 0, false
	}
	key := p[size : size+4]
	size += 4
	f = frame{p[0], bytes.Clone(p[size : size+int(n)])}
	for i := range f.payload {
		f.payload[i] ^= key[i%4]
	}
	return f, size + int(n), true
}

// FuzzStream makes a connection take any bytes, in pieces, and then nothing more:
// the view is given what the reference understands, and all ends.
func FuzzStream(f *testing.F) {
	for _, s := range []stretch{
		{frames: []frame{click("one"), click("two")}},
		{frames: []frame{{more | text, click("x").payload[:5]}, {fin | ping, nil}, {fin | cont, click("x").payload[5:]}}},
		{frames: []frame{{fin | rsv1 | text, deflated(f, `{"op":["c",1,1],"do":"a"}`, false)}, click("two")}, compressed: true},
		{frames: []frame{{fin | rsv1 | text, append(deflated(f, `{"op":["c",1,1],"do":"a"}`, true), deflated(f, `{"op":["c",1,1],"do":"b"}`, true)...)}, {fin | rsv1 | text, deflated(f, `{"op":["c",1,1],"do":"c"}`, false)}}, compressed: true},
		{frames: []frame{closeWith(1000, "bye"), click("late")}},
		{frames: []frame{{fin | bin, nil}, click("late")}},
		{frames: slices.Repeat([]frame{{fin | text, []byte("{")}}, 18)},
	} {
		f.Add(s.bytes(), s.compressed, uint8(0))
		f.Add(s.bytes(), s.compressed, uint8(255))
	}
	for _, s := range []struct { // found by fuzzing
		p          string
		compressed bool
		piece      byte
	}{
		{"\xc1\xa870002000000000000000000000000000000000000000", true, '\x00'},
		{"\xc1\xa8AZ2\x042aX\x01B00120002000000000000000000000000000", true, '\x00'},
		{"\xc1\xa89\x02BZ200000000\x06A10\xfc0\xab010020\xcb00000000000000000\x04\xab000000000000", true, '\x00'},
		{"0000000000000000000000000000000000000000000", false, '\x14'},
		{"\x01\x85000000000\x80\x92\x010000000000000000000\xc4\xc4", false, 'ÿ'},
		{"\x81\x81\x01000z\x81\x81\x01000z\x81\x81\x01000z\x81\x81\x01000z", false, 'ÿ'},
		{"\x81\x8100000\x81\x8100000\x81\x81000000", false, '\x04'},
		{"\xc1\xa8\x01B8A200000080$000000000000000000000000000000", true, 'ÿ'},
		{"\x81\x8180000", true, '$'},
		{"\x88\x85\x01001\x130A0#", true, '\x1e'},
		{"\x88\x85\x01000\x130\xff\xff\xff", false, '\x14'},
		{"\x81\x99000000000000000000000000000000", true, '\x00'},
		{"\xc1\xa800002000000000000000000000000000000000000000", true, 'f'},
		{"0\xff000", false, 'ù'},
		{"\x88\x85\x01000\x130\x12\x120", false, '\x14'},
		{"\x81\x990A0000000000000000000\xaf\xaf\xaf\xaf0000", true, '7'},
		{"\x81\x99\x01\x02\x03\x04z 000000#8!0#.!00 9&000&|", false, '\x06'},
		{"\x81\x990000\xda000000000000000000000000", true, '\x00'},
		{"\x88\x850000A0000", false, 'á'},
		{"\x88\x850000", false, 'á'},
		{"1", true, '9'},
		{"\x82\x80000000", false, 'ÿ'},
		{"\x81\x8100010\x81\x8100000\x81\x8100000\x81\x8100000\x81\x810000\xd4", false, '2'},
		{"\xc1\x9000<7$0<B000000000000", true, '\x00'},
		{"\x01\x85\x01\x02\x03\x04z bgu\x80\x92\x01\x02\x03\x04hmm&; 0&- 00#8!0#\x7f", false, 'ÿ'},
		{"\x81\x990000A000000000000000000000000", false, 'ÿ'},
		{"\xc1\x90\x01\x02\x03\x04\xabTIH/\xcb\xcf\xcbR\xb0QNU\xa8\x06\x04\x81\x99\x01\x02\x03\x00z bguklj#8!e#.!kq 9&uul&|", true, 'ÿ'},
		{"\xc1\xa8A8X\x042000000000x\x8c000000000000 910000000000000", true, '\x00'},
	} {
		f.Add([]byte(s.p), s.compressed, s.piece)
	}
	f.Fuzz(func(t *testing.T, p []byte, compressed bool, piece uint8) {
		want := understand(p, compressed)
		synctest.Test(t, func(t *testing.T) {
			view := new(scribe)
			s := newSite(t, view, wslive.Options{})
			defer s.stop()
			header := make(http.Header)
			if compressed {
				header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
			}
			v := s.enter(header, false)
			for part := range slices.Chunk(p, 1+int(piece)) {
				if !v.try(part) {
					break
				}
			}
			time.Sleep(2 * time.Minute)
			code, ended := v.state()
			if ended.IsZero() || s.rt.Stats().Sessions != 0 {
				t.Errorf("two minutes later it is still open")
			}
			if code != 0 && (code < 1000 || code > 4999) {
				t.Errorf("got close code %d", code)
			}
			if !slices.Equal(view.actions, want) {
				t.Errorf("got actions %q, want %q", view.actions, want)
			}
			v.leave()
		})
	})
}

// A stretch is frames that are sent on one connection.
type stretch struct {
	frames     []frame
	compressed bool
}

func (s stretch) bytes() (b []byte) {
	for _, f := range s.frames {
		b = append(b, f.bytes()...)
	}
	return b
}
