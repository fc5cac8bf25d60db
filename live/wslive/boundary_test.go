package wslive

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"lockstep/htmx"
)

// A unit is a message or a control frame between two, as the reference sees it.
type unit struct {
	end      int // offset of what follows
	frames   int // of the message that came last
	controls int // so far
	deflated bool
}

// decode is a reference for boundary: it has all bytes before it, and takes
// frame by frame. It returns the units, the bytes as they reach the library, and
// whether it was stopped by a length that no message has.
func decode(p []byte, deflates bool) (units []unit, out []byte, stopped bool) {
	out = bytes.Clone(p)
	var u unit
	open := false // a message has begun
	for pos := 0; pos < len(p); {
		first := p[pos]
		control, fin, opcode := first&0x08 != 0, first&0x80 != 0, first&0x0f
		if !open && (opcode == 1 || opcode == 2) {
			if u.deflated = deflates && first&0x40 != 0; u.deflated {
				out[pos] &^= 0x40
			}
		}
		header, length := parseHeader(p[pos:])
		if header == 0 {
			break // it has not all come
		}
		if control {
			u.controls++
		} else {
			if !open {
				u.frames = 0
			}
			u.frames++
			open = !fin
		}
		if length > htmx.MaxEvent {
			return units, out, true
		}
		if pos+header+int(length) > len(p) {
			break
		}
		pos += header + int(length)
		if !open {
			u.end = pos
			units = append(units, u)
		}
	}
	return units, out, false
}

// parseHeader returns how long a header and its payload are; 0 if the header is
// not complete.
func parseHeader(p []byte) (header int, length uint64) {
	if len(p) < 2 {
		return 0, 0
	}
	header, length = 2, uint64(p[1]&0x7f)
	extended := map[uint64]int{126: 2, 127: 8}[length]
	header += extended
	if p[1]&0x80 != 0 {
		header += 4
	}
	if len(p) < header {
		return 0, 0
	}
	if extended > 0 {
		length = binary.BigEndian.Uint64(append(make([]byte, 8-extended), p[2:2+extended]...))
	}
	return header, length
}

// FuzzBoundary compares a boundary, which gets the bytes in pieces, with the
// reference.
func FuzzBoundary(f *testing.F) {
	for _, s := range []string{
		"\x81\x83aaaaxyz\x89\x80aaaa\x81\x80aaaa", "\x01\x81aaaax\x89\x80aaaa\x80\x81aaaay", "\xc1\x81aaaax\x81\x81aaaax",
		"\x81\xfe\x00\x05aaaa01234\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01aaaa0", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x81\xfe\xff\xff",
		"\x41\x80aaaa\xc1\x80aaaa\x80\x80aaaa", "\x81\x01x\x80\x01y\x03\x00\x83\x00",
	} {
		f.Add([]byte(s), true, uint8(0))
		f.Add([]byte(s), false, uint8(3))
	}
	for _, s := range []struct { // found by fuzzing
		p        string
		deflates bool
		piece    byte
	}{
		{"0\xff000", false, 'A'},
		{"1\x0101\x0101\x001", true, '\x00'},
		{"0\xfe\x00\x050000000000\xfe000000", true, '\a'},
		{"8\x80000080", true, '\x00'},
		{"000", true, '\f'},
		{"0\xff000000000000", false, '\x00'},
		{"0\xfe\x00\x05000000000000000000000000000000", false, '\x03'},
		{"0\xff0", true, 'r'},
		{"0\x030001\x030001\x030001\x0300010", true, '\x0f'},
		{"0\xfe\x00\x050000000000\x000\x000\x000\x000\x000\x000\x000\x000\x000\x000\xff00", true, '\x00'},
		{"1\x0101\x0101\x0101\x0101\x0101\x0101\x0101", true, '\x0e'},
		{"0\x8100000", false, '\x03'},
		{"0", true, '\x00'},
		{"000000000000000000", true, '\x00'},
		{"0000000000000000000000000000000000", false, '\x00'},
		{"0\xff\x00\x00\x00\x00\x00\x00\x10\x0100000", true, '\u0081'},
		{"0\xff", false, 'r'},
		{"\xc1\x800000A", true, '\x02'},
		{"0\xff\x80\x00\x00\x00\x00\x00\x00\x01000000", true, '\x1a'},
		{"\x81\xfe\x00\x05000000000\x81\x008\x00\x80\x0000", true, '\x03'},
		{"0\x7f0000000", false, 'A'},
		{"00000000000000000000000000000000", false, '\x00'},
	} {
		f.Add([]byte(s.p), s.deflates, s.piece)
	}
	f.Fuzz(func(t *testing.T, p []byte, deflates bool, piece uint8) {
		want, out, stopped := decode(p, deflates)
		b := boundary{deflates: deflates}
		var got []unit
		in := bytes.Clone(p)
		pos := 0
		for pos < len(in) && !b.long && b.left <= htmx.MaxEvent {
			end := min(pos+1+int(piece), len(in))
			n := b.feed(in[pos:end])
			if n < end-pos && !b.clean() || n <= 0 {
				t.Fatalf("stopped after %d of %d bytes within a message", n, end-pos)
			}
			pos += n
			if b.clean() {
				got = append(got, unit{pos, b.frames, b.controls, b.deflated})
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if halted := b.long || b.left > htmx.MaxEvent; halted != stopped {
			t.Fatalf("too long: got %v, want %v", halted, stopped)
		}
		if !bytes.Equal(in[:pos], out[:pos]) {
			t.Fatalf("got %x, want %x", in[:pos], out[:pos])
		}
	})
}

func TestABombCostsLittle(t *testing.T) {
	bomb := new(deflater).deflate(make([]byte, 4<<20))
	if len(bomb) > htmx.MaxEvent+100 {
		t.Fatalf("got a bomb of %d bytes", len(bomb))
	}
	const times = 100
	var i inflater
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		if _, err := i.inflate(bytes.Clone(bomb)); !errors.Is(err, errTooLong) {
			t.Fatalf("got %v, want errTooLong", err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / times; got > 128<<10 {
		t.Errorf("got %d bytes allocated for each bomb, want little", got)
	}
}

// FuzzInflate makes a decompressor do other work in between: nothing of it may
// stay.
func FuzzInflate(f *testing.F) {
	var d deflater
	f.Add(d.deflate([]byte(`{"op":["c",1,1],"do":"a"}`)), d.deflate(bytes.Repeat([]byte("x"), 1<<20)))
	f.Add([]byte("\x01\x00\x00\xff\xff\xaa"), []byte{})
	for _, s := range [][2]string{ // found by fuzzing
		{"0", "\xec\xc01\x01\x00\x00\x00\u00a0\xda\xc67\xc4^\x18\x00\x00"},
		{"0", "2\x187"},
		{"$A\x10\x0011111", "$A\x10\x001"},
		{"280a", "280a"},
		{"0", "$\xc01\x01\x00\x00\x00\xc2 B7,7"},
		{"$0\xc411", "$0\xc411"},
		{"$0", "0"},
		{"0", "$\xff"},
		{"0", "\xc2"},
		{"", ""},
		{"0", "$0\xc411"},
		{"2", "280"},
		{"1", "0"},
		{"\x02 ", "\x02 "},
		{"$\xc01A0009", "$\xc01A0009"},
		{"\xa3", "\xa3"},
		{"Z0a\xfb\xfb777\x0e1020", "Z0a\xfb\xfb777\x0e1020"},
		{"0", "$\xc01\x01\x00\x00\x00\u00a0"},
		{"2\x03(", "2\x03("},
		{"$A", "$A1"},
	} {
		f.Add([]byte(s[0]), []byte(s[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var i inflater
		first, err := i.inflate(bytes.Clone(a))
		_, _ = i.inflate(bytes.Clone(b)) // whatever comes of it
		again, errAgain := i.inflate(bytes.Clone(a))
		if !bytes.Equal(first, again) || (err == nil) != (errAgain == nil) {
			t.Fatalf("got %q, %v, then %q, %v", first, err, again, errAgain)
		}
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(append(bytes.Clone(a), "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...))), htmx.MaxEvent+1))
		if len(want) > htmx.MaxEvent {
			if err == nil || first != nil {
				t.Fatalf("got %d bytes, %v, want an error", len(first), err)
			}
			return
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(first, want) {
			t.Fatalf("got %q, %v, want %q, %v", first, err, want, wantErr)
		}
	})
}
