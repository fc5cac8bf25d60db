package wslive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lockstep/live/wslive"
)

// attacks is how many hostile connections there are.
const attacks = 1000

// An attack is what a hostile peer sends on one connection.
type attack struct {
	name       string
	send       []byte
	compressed bool  // the peer has negotiated compression
	want       []int // close codes
}

// works are what takes time to make.
type works struct {
	small  []byte // compressed
	bomb   []byte // four kilobytes that are megabytes
	hiding []byte // a message with another one behind its end
}

func makeWorks(t *testing.T) works {
	t.Helper()
	return works{
		small:  deflated(t, "{}", false),
		bomb:   deflated(t, strings.Repeat("x", 3<<20), false),
		hiding: append(deflated(t, "{}", true), deflated(t, `{"do":"a","op":["stolen",1,1]}`, true)...),
	}
}

// attackers make an attack each; what is not fixed comes from r.
var attackers = []func(r *rand.Rand, made works) attack{
	func(r *rand.Rand, made works) attack {
		return attack{"the promise of much", lengthOf(byte(r.IntN(256))|0x80, 4097+r.Uint64N(1<<62)), false, []int{1009}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a length of 64 bits", lengthOf(fin|text, 1<<63|r.Uint64()), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"reserved bits", frame{fin | text | byte(1+r.IntN(7))<<4, noise(r, 100)}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a reserved opcode", frame{fin | byte(3+r.IntN(5)+8*r.IntN(2)), noise(r, 100)}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		n := r.IntN(100)
		return attack{"without a mask", append([]byte{fin | byte(1+r.IntN(2)), byte(n)}, make([]byte, n)...), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a control frame in pieces", frame{byte(ping + r.IntN(2)), noise(r, 100)}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a control frame that is long", frame{fin | byte(closing+r.IntN(3)), make([]byte, 126+r.IntN(1000))}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a continuation of nothing", frame{byte(r.IntN(2)) << 7, noise(r, 100)}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a message within another", join(frame{more | text, noise(r, 100)}, frame{fin | byte(1+r.IntN(2)), noise(r, 100)}), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"not UTF-8", frame{fin | text, append(noise(r, 100), 0xff)}.bytes(), false, []int{1007}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"half of a character", frame{fin | text, []byte("{\"x\":\"\xe2\x82")}.bytes(), false, []int{1007}}
	},
	func(r *rand.Rand, made works) attack {
		code := []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535}[r.IntN(10)]
		return attack{"a close code that is none", closeWith(code, "x").bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a close of one byte", frame{fin | closing, noise(r, 1)}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"binary", frame{fin | bin, noise(r, 1000)}.bytes(), false, []int{1003}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"control frames without end", bytes.Repeat(frame{fin | byte(ping+r.IntN(2)), noise(r, 10)}.bytes(), 5000), false, []int{1008}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"fragments without end", append(frame{more | text, nil}.bytes(), bytes.Repeat(frame{more | cont, noise(r, r.IntN(2))}.bytes(), 5000)...), false, []int{1008}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"fragments that are too long together", append(frame{more | text, nil}.bytes(), bytes.Repeat(frame{more | cont, make([]byte, 1000)}.bytes(), 100)...), false, []int{1009}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"nonsense without end", bytes.Repeat(frame{fin | text, noise(r, 10)}.bytes(), 5000), false, []int{1007, 1008}}
	},
	func(r *rand.Rand, made works) attack {
		deep := strings.Repeat(`{"x":[`, 300)
		return attack{"what is nested deep", bytes.Repeat(frame{fin | text, []byte(`{"op":["c",1,1],"do":"a","x":` + deep)}.bytes(), 100), false, []int{1008}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"compressed without being asked", frame{fin | rsv1 | text, made.small}.bytes(), false, []int{1002}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"what is not compressed", frame{fin | rsv1 | text, append([]byte{0x07}, noise(r, 200)...)}.bytes(), true, []int{1007}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a bomb", frame{fin | rsv1 | text, made.bomb}.bytes(), true, []int{1009}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"a bomb in pieces", join(frame{rsv1 | text, made.bomb[:500]}, frame{fin | ping, nil}, frame{fin | cont, made.bomb[500:]}), true, []int{1009}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"messages that hide others", bytes.Repeat(frame{fin | rsv1 | text, made.hiding}.bytes(), 20), true, []int{1008}}
	},
	func(r *rand.Rand, made works) attack {
		return attack{"not this protocol", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), false, []int{1002}}
	},
}

// lengthOf is the header of a frame that says how long it is, and some of it.
func lengthOf(first byte, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, n), "mask and more"...)
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return b
}

func join(frames ...frame) []byte { return stretch{frames: frames}.bytes() }

// allAttacks returns all attacks, always the same.
func allAttacks(t *testing.T) (all []attack) {
	t.Helper()
	made := makeWorks(t)
	for n := range attacks {
		all = append(all, attackers[n%len(attackers)](rand.New(rand.NewPCG(7, uint64(n))), made))
	}
	return all
}

func TestHostilePeersEndWithTheirCodeAndHurtNobody(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		files := openFiles(t)
		routines := runtime.NumGoroutine()
		t.Run("attack", func(t *testing.T) { besiege(t, opts) })
		// The server has been closed.
		eventually(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= routines })
		eventually(t, "descriptors are left", func() bool { return openFiles(t) <= files })
	})
}

func besiege(t *testing.T, opts *wslive.Options) {
	rt, url := serveWith(t, echo{}, opts)
	stop := make(chan struct{})
	var honest, hostile sync.WaitGroup
	for i, compression := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionNoContextTakeover} {
		honest.Go(func() { clicks(t, url, compression, fmt.Sprintf("tab-%d-", i), stop) })
	}
	all := allAttacks(t)
	runtime.GC()
	before, peak := heap(), uint64(0)
	next := make(chan attack)
	for range 16 {
		hostile.Go(func() {
			for a := range next {
				strike(t, url, a)
			}
		})
	}
	for n, a := range all {
		next <- a
		if n%50 == 0 {
			peak = max(peak, heap())
		}
	}
	close(next)
	hostile.Wait()
	close(stop)
	honest.Wait()
	waitSessions(t, rt, 0)
	runtime.GC()
	if after := heap(); after > before+8<<20 || peak > before+64<<20 {
		t.Errorf("the heap was %d bytes before %d attacks, at most %d, and %d afterwards", before, attacks, peak, after)
	}
	if got := rt.Stats().Failures; got != 0 {
		t.Errorf("got %d failures of views, want none", got)
	}
}

// heap returns how many bytes this process has allocated.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// clicks is an honest tab that clicks one time after the other until stop, and
// gets its own answers only.
func clicks(t *testing.T, url string, compression websocket.CompressionMode, name string, stop <-chan struct{}) {
	ws, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{CompressionMode: compression, CompressionThreshold: 1})
	if err != nil {
		t.Error(err)
		return
	}
	defer ws.CloseNow()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		op := fmt.Sprintf("%s%d", name, n)
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"do":"a","op":["`+op+`",1,1]}`)); err != nil {
			t.Errorf("click %d: %v", n, err)
			return
		}
		if err := onlyMine(t, ws, op, name); err != nil {
			t.Errorf("click %d: %v", n, err)
			return
		}
	}
}

func onlyMine(t *testing.T, ws *websocket.Conn, op, name string) error {
	for {
		_, m, err := ws.Read(t.Context())
		if err != nil {
			return err
		}
		if strings.Contains(string(m), "error") || strings.Contains(string(m), "stolen") {
			return fmt.Errorf("got %s", m)
		}
		if strings.Contains(string(m), `"`+op+`"`) {
			return nil
		}
	}
}

// strike sends an attack and takes what comes of it.
func strike(t *testing.T, url string, a attack) {
	header := ""
	if a.compressed {
		header = extension
	}
	p := connectWith(t, url, header, nil)
	defer p.c.Close()
	_, _ = p.c.Write(a.send) // it may be cut off before
	for {
		f, err := p.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: neither closed nor cut off", a.name)
		}
		if err != nil {
			if len(a.send) < 5000 {
				t.Errorf("%s: got %v, want a close frame", a.name, err)
			}
			return // it went on, and was cut off
		}
		if f.first != fin|closing {
			continue
		}
		if len(f.payload) < 2 || !slices.Contains(a.want, int(binary.BigEndian.Uint16(f.payload))) {
			t.Errorf("%s: got the close frame %q, want %v", a.name, f.payload, a.want)
		}
		_, _ = p.c.Write(frame{fin | closing, f.payload}.bytes()) // as an honest peer would
		_, _ = io.Copy(io.Discard, p.c)                           // until it is closed
		return
	}
}

// TestHostilePeersThatFallSilentAreCutOff makes each attack break off somewhere, and its
// peer say nothing more.
func TestHostilePeersThatFallSilentAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, echo{}, wslive.Options{})
		defer s.stop()
		all := allAttacks(t)
		var visitors []*visitor
		for n, a := range all {
			r := rand.New(rand.NewPCG(8, uint64(n)))
			header := make(http.Header)
			if a.compressed {
				header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
			}
			v := s.enter(header, false)
			v.try(a.send[:r.IntN(min(len(a.send), 10_000))])
			visitors = append(visitors, v)
		}
		time.Sleep(80 * time.Second)
		for n, v := range visitors {
			if _, ended := v.state(); ended.IsZero() {
				t.Errorf("%s: it is still open", all[n].name)
			}
			v.leave()
		}
		if got := s.rt.Stats(); got.Sessions != 0 || got.Failures != 0 {
			t.Errorf("got %d sessions and %d failures, want none", got.Sessions, got.Failures)
		}
	})
}

// openFiles returns how many files this process has open, or 0 where that can't be
// known.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, otherwise string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(otherwise)
		}
	}
}
