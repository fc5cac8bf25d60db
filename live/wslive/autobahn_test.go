package wslive_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/live/wslive"
)

// The cases of the Autobahn test suite's sections 5, 6 and 7 that can be tried with an application
// which takes text only. TestFramesThatAreAllowed and TestFramesThatEndTheConnection have those of
// the sections before, and the limits of this server.

// saying is an op that echo acknowledges, with bytes in a field that nobody reads.
func saying(b string) []byte { return []byte(`{"do":"a","op":["said",1,1],"x":"` + b + `"}`) }

// inParts is a text message in frames that end at the given places.
func inParts(message []byte, ends ...int) (all []frame) {
	from, first := 0, byte(more|text)
	for _, end := range ends {
		all = append(all, frame{first, message[from:end]})
		from, first = end, more|cont
	}
	return append(all, frame{fin | cont, message[from:]})
}

// inBytes is a text message of one byte in each frame.
func inBytes(message []byte) []frame {
	var ends []int
	for i := 1; i < len(message); i++ {
		ends = append(ends, i)
	}
	return inParts(message, ends...)
}

func bytesOf(frames []frame) (b []byte) {
	for _, f := range frames {
		b = append(b, f.bytes()...)
	}
	return b
}

// wantEnd sends bytes, and wants a close frame with a code; the other tabs must not notice.
func wantEnd(t *testing.T, name string, send []byte, want int) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		modes(t, func(t *testing.T, opts *wslive.Options) {
			rt, url := serveWith(t, echo{}, opts)
			p := connect(t, url, nil)
			p.write(send)
			if got := p.endedAfter(send); got != want {
				t.Errorf("got close code %d, want %d", got, want)
			}
			waitSessions(t, rt, 0)
		})
	})
}

// wantAck sends bytes, and wants what they say to be acknowledged.
func wantAck(t *testing.T, name string, send []byte) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		modes(t, func(t *testing.T, opts *wslive.Options) {
			_, url := serveWith(t, echo{}, opts)
			p := connect(t, url, nil)
			p.write(send)
			p.until(fin|text, `"ack":[["said",1]]`)
			p.send(click("afterwards"))
			p.until(fin|text, `"ack":[["afterwards",1]]`)
		})
	})
}

// TestFragments is section 5 of the Autobahn test suite.
func TestFragments(t *testing.T) {
	t.Parallel()
	m := saying("fragment")
	halves := inParts(m, len(m)/2)
	wantEnd(t, "5.1 a ping in two frames", bytesOf([]frame{{more | ping, []byte("a")}, {fin | cont, []byte("b")}}), 1002)
	wantEnd(t, "5.2 a pong in two frames", bytesOf([]frame{{more | pong, []byte("a")}, {fin | cont, []byte("b")}}), 1002)
	wantAck(t, "5.3 text in two frames", bytesOf(halves))
	wantAck(t, "5.5 text in frames of one byte", bytesOf(inBytes(m)))
	for name, with := range map[string]frame{
		"5.6 a ping between": {fin | ping, []byte("x")}, "a pong between": {fin | pong, []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			modes(t, func(t *testing.T, opts *wslive.Options) {
				_, url := serveWith(t, echo{}, opts)
				p := connect(t, url, nil)
				p.send(halves[0], with, halves[1])
				if with.first == fin|ping {
					p.until(fin|pong, "x")
				}
				p.until(fin|text, `"ack":[["said",1]]`)
			})
		})
	}
	next := frame{fin | text, m}
	wantEnd(t, "5.9 a continuation of nothing, then text", bytesOf([]frame{{fin | cont, []byte("x")}, next}), 1002)
	wantEnd(t, "5.12 one that goes on, then text", bytesOf([]frame{{more | cont, []byte("x")}, next}), 1002)
	wantEnd(t, "5.15 a continuation after the last frame", bytesOf(append(inParts(m, 4), frame{more | cont, []byte("x")}, next)), 1002)
	wantEnd(t, "5.18 text inside text", bytesOf([]frame{{more | text, m[:4]}, next}), 1002)
	wantEnd(t, "binary inside text", bytesOf([]frame{{more | text, m[:4]}, {fin | bin, []byte("x")}}), 1002)
	wantEnd(t, "a close inside text", bytesOf([]frame{{more | text, m[:4]}, closeWith(1000, "enough")}), 1000)
	wantEnd(t, "a close in two frames", bytesOf([]frame{{more | closing, []byte{3, 232}}, {fin | cont, nil}}), 1002)
}

// TestUTF8 is section 6 of the Autobahn test suite: whole, split between characters, and in frames
// of one byte, which split each character.
func TestUTF8(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"6.1 nothing": "", "6.2 of two bytes": "Hello-µ@ßöäüàá-UTF-8!!", "6.5 Greek": "κόσμε",
		"6.7 the first of each length": "\x7f\u0080\u0800\U00010000", "6.9 the last of each length": "\u007f\u07ff\uffff\U0010ffff",
		"6.11 around the surrogates": "\ud7ff\ue000\ufffd", "6.22 noncharacters": "\ufffe\uffff\U0001fffe\U0001ffff",
	} {
		m := saying(s)
		wantAck(t, name, frame{fin | text, m}.bytes())
		if len(m) <= 200 { // more frames are refused
			wantAck(t, name+", in frames of one byte", bytesOf(inBytes(m)))
		}
	}
	for name, s := range map[string]string{
		"6.3 a surrogate":                    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
		"6.4 beyond the last character":      "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
		"6.8 of five bytes":                  "\xf8\x88\x80\x80\x80",
		"6.8 of six bytes":                   "\xfc\x84\x80\x80\x80\x80",
		"6.10 four bytes that are too large": "\xf7\xbf\xbf\xbf",
		"6.12 a first byte alone":            "\xc2",
		"6.14 a continuation alone":          "\x80",
		"6.15 all continuations":             "\x80\xbf\x80\xbf",
		"6.16 a pair of surrogates":          "\xed\xa0\x80\xed\xbf\xbf",
		"6.17 a missing last byte":           "\xe0\xa0\"",
		"6.19 impossible bytes":              "\xfe\xff",
		"6.20 a slash in two bytes":          "\xc0\xaf",
		"6.20 a slash in three":              "\xe0\x80\xaf",
		"6.20 a slash in four":               "\xf0\x80\x80\xaf",
		"6.21 NUL in two":                    "\xc0\x80",
	} {
		m := saying(s)
		wantEnd(t, name, frame{fin | text, m}.bytes(), 1007)
		wantEnd(t, name+", in frames of one byte", bytesOf(inBytes(m)), 1007)
	}
	m := saying("κ")
	wantEnd(t, "half of a character at the end", frame{fin | text, m[:len(m)-3]}.bytes(), 1007)
}

// TestCloses is section 7 of the Autobahn test suite.
func TestCloses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		send []byte
		want int
	}{
		{"7.1.1 after a message", append(click("first").bytes(), closeWith(1000, "").bytes()...), 1000},
		{"7.1.2 twice", append(closeWith(1000, "").bytes(), closeWith(1000, "").bytes()...), 1000},
		{"7.1.3 with a ping after it", bytesOf([]frame{closeWith(1000, ""), {fin | ping, nil}}), 1000},
		{"7.1.4 with text after it", bytesOf([]frame{closeWith(1000, ""), click("late")}), 1000},
		{"7.1.5 between two frames of a message", bytesOf([]frame{{more | text, []byte("{")}, closeWith(1000, ""), {fin | cont, []byte("}")}}), 1000},
		{"7.3.1 without a code", frame{fin | closing, nil}.bytes(), 1005},
		{"7.3.2 with half of one", frame{fin | closing, []byte{3}}.bytes(), 1002},
		{"7.3.3 with a code", closeWith(1000, "").bytes(), 1000},
		{"7.3.4 with a reason", closeWith(1000, "Hello World!").bytes(), 1000},
		{"7.3.5 with the longest reason", closeWith(1000, strings.Repeat("*", 123)).bytes(), 1000},
		{"7.3.6 with a longer one", closeWith(1000, strings.Repeat("*", 124)).bytes(), 1002},
		{"7.5.1 with a reason that is not UTF-8", closeWith(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited").bytes(), 1007},
		{"with half of a character at the end", closeWith(1001, "bye \xce").bytes(), 1007},
		{"with a reason of the longest that is not UTF-8", closeWith(4000, strings.Repeat("\xff", 123)).bytes(), 1007},
		{"with a reason in UTF-8", closeWith(1000, "κόσμε").bytes(), 1000},
		{"with a wrong code and a reason that is not UTF-8", closeWith(1005, "\xff").bytes(), 1002},
		{"without a mask", []byte{fin | closing, 2, 3, 232}, 1002},
		{"with reserved bits", frame{fin | rsv1 | closing, []byte{3, 232}}.bytes(), 1002},
	} {
		wantEnd(t, c.name, c.send, c.want)
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		wantEnd(t, fmt.Sprintf("7.7 code %d", code), closeWith(code, "").bytes(), int(code))
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		wantEnd(t, fmt.Sprintf("7.9 code %d", code), closeWith(code, "").bytes(), 1002)
	}
}
