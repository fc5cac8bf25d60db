package e2e_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Guards of frames and messages.

func frameLengthGuard() guard {
	return guard{
		"length of a frame", "live/wslive/boundary.go",
		"b.long = b.left > htmx.MaxEvent", "b.long = !WITHOUT && b.left > htmx.MaxEvent",
	}
}

func readLimitGuard() guard {
	return guard{
		"length of a message, as the library counts it", "live/wslive/pool.go",
		"ws.SetReadLimit(htmx.MaxEvent)", "ws.SetReadLimit(pick[int64](WITHOUT, 1<<24, htmx.MaxEvent))",
	}
}

func eventLengthGuard() guard {
	return guard{
		"length of a message, when it is parsed", "htmx/event.go",
		"case len(p) > MaxEvent:", "case !WITHOUT && len(p) > MaxEvent:",
	}
}

func bombGuard() guard {
	return guard{
		"length of a message, while it is decompressed", "live/wslive/deflate.go",
		"io.LimitReader(s.inflated, htmx.MaxEvent+1)", "io.LimitReader(s.inflated, pick[int64](WITHOUT, 1<<24, htmx.MaxEvent+1))",
	}
}

func inflatedLengthGuard() guard {
	return guard{
		"length of a message, when it has been decompressed", "live/wslive/deflate.go",
		"if len(message) > htmx.MaxEvent {", "if !WITHOUT && len(message) > htmx.MaxEvent {",
	}
}

func depthGuard() guard {
	return guard{"depth of a message", "htmx/event.go", "case tooDeep(p):", "case !WITHOUT && tooDeep(p):"}
}

func utf8Guard() guard {
	return guard{
		"UTF-8, when a message comes", "live/wslive/conn.go",
		"if !utf8.Valid(message) {", "if !WITHOUT && !utf8.Valid(message) {",
	}
}

func eventUTF8Guard() guard {
	return guard{
		"UTF-8, when it is parsed", "htmx/event.go",
		"case !utf8.Valid(p):", "case !WITHOUT && !utf8.Valid(p):",
	}
}

func framesGuard() guard {
	return guard{
		"frames of a message", "live/wslive/reader.go",
		"case r.bounds.frames > maxFrames:", "case !WITHOUT && r.bounds.frames > maxFrames:",
	}
}

func textGuard() guard {
	return guard{
		"text only", "live/wslive/conn.go",
		"if kind != websocket.MessageText {", "if !WITHOUT && kind != websocket.MessageText {",
	}
}

func malformedGuard() guard {
	return guard{
		"malformed messages of a tab", "live/session.go",
		"if s.malformed > maxMalformed {", "if !WITHOUT && s.malformed > maxMalformed {",
	}
}

// messageGuards are those through which a click could slip. The length of a
// frame stays bounded: the server would wait for the rest.
func messageGuards() []guard {
	return []guard{
		eventLengthGuard(), bombGuard(), inflatedLengthGuard(), depthGuard(),
		utf8Guard(), eventUTF8Guard(), framesGuard(), textGuard(), clientGuard(), seqGuard(),
	}
}

// The library checks what RFC 6455 says of frames; it has no switch for that.
const libraryChecks = "coder/websocket checks it"

// frameAttacks send what no page would, in frames that no browser would make.
// Each has a click in it, that would count if the guard were not there.
func frameAttacks() []attack {
	one := func(name string, make func(click string) []byte, guards ...guard) attack {
		a := attack{name: name, guards: guards, run: func(v *victim) error { return slip(v, make(clickText(v.newOp()))) }}
		if len(guards) == 0 {
			a.why = libraryChecks
		}
		return a
	}
	return []attack{
		one("message of 5,000 bytes", oversize, frameLengthGuard(), readLimitGuard(), eventLengthGuard()),
		one("nested message", nested, depthGuard()),
		one("invalid UTF-8", notUTF8, utf8Guard(), eventUTF8Guard()),
		one("message in 300 frames", fragmented, framesGuard()),
		one("binary message", func(click string) []byte { return masked(finBinary, []byte(click)) }, textGuard()),
		{
			name: "compression bomb: 2 KB that are 2 MB", guards: []guard{bombGuard(), inflatedLengthGuard(), eventLengthGuard()},
			run: func(v *victim) error {
				return slip(v, bomb(clickText(v.newOp())), "Sec-WebSocket-Extensions: permessage-deflate")
			},
		},
		one("frame without a mask", func(click string) []byte { return unmasked(finText, []byte(click)) }),
		{
			name: "fragmented for ever", guards: []guard{framesGuard()}, run: fragmentForEver,
		},
		{
			name: "wrong opcodes, lengths and orders", why: libraryChecks,
			run: func(v *victim) error {
				for _, b := range wrongFrames(clickText(v.newOp())) {
					if err := slip(v, b); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "nonsense without end", guards: []guard{malformedGuard()},
			run: func(v *victim) error {
				ws := v.from(hostile).connect("lobby")
				for range 1000 {
					ws.text(`{"nonsense":true}`)
				}
				ws.text(clickText(v.newOp()))
				for {
					switch m := ws.verdict(); {
					case len(m.Ack) > 0:
						return errors.New("1,000 malformed messages are answered, and no end")
					case m.cut || m.code != 0:
						return nil
					}
				}
			},
		},
		{
			name: "a thousand hostile frames", flood: true, guards: messageGuards(), run: thousand,
		},
	}
}

// slip sends bytes, and returns an error if the click in them counts. What is refused behind it may
// be answered, and the page read, before the store has it.
func slip(v *victim, b []byte, headers ...string) error {
	v.Helper()
	return v.patiently(func() error { return slipOnce(v, b, headers...) })
}

func slipOnce(v *victim, b []byte, headers ...string) error {
	v.Helper()
	ws := v.from(hostile).connect("lobby", headers...)
	defer ws.Close()
	_, _ = ws.Write(b) // it may be closed in the middle
	ws.text(nothing()) // is refused, if it comes to that
	for {
		switch m := ws.verdict(); {
		case len(m.Ack) > 0:
			return errors.New("the click in it counts")
		case m.T == nowhere, m.cut, m.code != 0:
			return v.counted("lobby")
		}
	}
}

func oversize(click string) []byte {
	return masked(finText, []byte(click+strings.Repeat(" ", 5000-len(click))))
}

func nested(click string) []byte {
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	return masked(finText, []byte(strings.TrimSuffix(click, "}")+`,"x":`+deep+"}"))
}

func notUTF8(click string) []byte {
	return masked(finText, []byte(strings.TrimSuffix(click, "}")+",\"x\":\"\xff\xfe\xc0\xaf\"}"))
}

// fragmented has a click in a few bytes a frame, and most of them empty.
func fragmented(click string) []byte {
	b := masked(justText, []byte(click[:1]))
	for range 300 {
		b = append(b, masked(more, nil)...)
	}
	return append(b, masked(finMore, []byte(click[1:]))...)
}

// bomb has a click in 2 MB of spaces, which compress well.
func bomb(click string) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestCompression) // the level is valid
	_, _ = w.Write([]byte(click + strings.Repeat(" ", 2<<20)))
	_ = w.Flush()
	return masked(finText|rsv1, bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff")))
}

// fragmentForEver sends a message that never ends.
func fragmentForEver(v *victim) error {
	ws := v.from(hostile).connect("lobby")
	if _, err := ws.Write(masked(justText, []byte("{"))); err != nil {
		return err
	}
	frames := bytes.Repeat(masked(more, nil), 1000)
	for range 20 {
		_, _ = ws.Write(frames) // it may be closed in the middle
	}
	_, _ = ws.Write(masked(finPing, []byte("still there?")))
	for {
		opcode, payload, err := ws.next()
		switch {
		case err != nil || opcode == 8:
			return nil
		case opcode == 10:
			return fmt.Errorf("20,000 frames of one message are read, and no end: %s", payload)
		}
	}
}

// wrongFrames have a click in what RFC 6455 forbids.
func wrongFrames(click string) (all [][]byte) {
	text := []byte(click)
	for _, opcode := range []byte{0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		all = append(all, masked(0x80|opcode, text))
	}
	for _, reserved := range []byte{0x40, 0x20, 0x10, 0x70} {
		all = append(all, masked(finText|reserved, text))
	}
	begin := masked(justText, text[:5])
	long := bytes.Repeat([]byte("x"), 200)
	return append(all,
		masked(finMore, text),                                // goes on with nothing
		append(bytes.Clone(begin), masked(finText, text)...), // begins in the middle of another
		masked(0x09, []byte("a ping in fragments")),
		masked(finPing, long), masked(finClose, long),
		masked(finClose, []byte{0x03}),             // half of a code
		masked(finClose, []byte{0x00, 0x01}),       // a code that there is not
		masked(finClose, []byte{0x03, 0xe8, 0xff}), // a reason that is not UTF-8
		append([]byte{finText, 0x80 | 127}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4), // of 2^64 - 1 bytes
		append([]byte{finText, 0x80 | 127}, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4), // of 2^63 - 1 bytes
	)
}

// thousand sends a thousand hostile messages from a seed. None may count.
func thousand(v *victim) error {
	for round := range v.rounds {
		rnd := rand.New(rand.NewPCG(uint64(round), 7))
		var ws *rawSocket
		for range 1000 {
			if ws == nil {
				ws = v.from(hostile).connect("lobby", "Sec-WebSocket-Extensions: permessage-deflate")
			}
			_, err := ws.Write(hostileFrame(rnd, v.app))
			if rnd.IntN(3) == 0 && err == nil {
				continue // on the same connection, if it lives
			}
			ws.text(nothing())
			m := ws.verdict()
			for ; m.answers() && m.T != nowhere; m = ws.verdict() {
				if len(m.Ack) > 0 {
					return errors.New("one of them counts")
				}
			}
			if m.cut || m.code != 0 {
				_ = ws.Close()
				ws = nil
			}
		}
		if err := v.counted("lobby"); err != nil {
			return err
		}
	}
	return nil
}

// hostileFrame makes one of many kinds of message that must not count.
func hostileFrame(rnd *rand.Rand, a *target) []byte {
	click := clickText(a.op("lobby"))
	wrong := wrongFrames(click)
	garbage := make([]byte, rnd.IntN(300))
	for i := range garbage {
		garbage[i] = byte(rnd.Uint32())
	}
	var cut []byte // a click that ends early
	cut = append(cut, click[:rnd.IntN(len(click))]...)
	switch rnd.IntN(12) {
	case 0:
		return oversize(click)
	case 1:
		return nested(click)
	case 2:
		return notUTF8(click)
	case 3:
		return fragmented(click)
	case 4:
		return bomb(click)
	case 5:
		return unmasked(finText, []byte(click))
	case 6:
		return wrong[rnd.IntN(len(wrong))]
	case 7:
		return masked(finText, garbage)
	case 8:
		return masked(finBinary, []byte(click))
	case 9:
		return masked(finText, cut)
	case 10:
		return masked(finText|rsv1, garbage)
	}
	bad := wrongClicks(a)
	return masked(finText, []byte(bad[rnd.IntN(len(bad))]))
}
