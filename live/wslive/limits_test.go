package wslive_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/wslive"
)

// inMemory runs f in a bubble with a handler that pings nobody.
func inMemory(t *testing.T, f func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, echo{}, wslive.Options{PingInterval: -1})
		defer s.stop()
		f(t, s)
	})
}

// trickle sends pieces with a pause before each but the first, until the
// connection ends. It returns how long that went on.
func trickle(v *visitor, pause time.Duration, pieces ...[]byte) time.Duration {
	began := time.Now()
	for i, b := range pieces {
		if i > 0 {
			time.Sleep(pause)
		}
		if !v.try(b) {
			break
		}
	}
	synctest.Wait()
	return time.Since(began)
}

// each returns the bytes of b one by one.
func each(b []byte) (pieces [][]byte) {
	for i := range b {
		pieces = append(pieces, b[i:i+1])
	}
	return pieces
}

// many returns a frame that begins a message, and n others of it.
func many(n int, payload string) [][]byte {
	pieces := [][]byte{frame{more | text, nil}.bytes()}
	for range n {
		pieces = append(pieces, frame{more | cont, []byte(payload)}.bytes())
	}
	return pieces
}

func TestAMessageThatNeverEndsIsCutOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		pause  time.Duration
		pieces [][]byte
	}{
		{"a byte now and then", 9 * time.Second, each(click("dribbled").bytes())},
		{"the header now and then", 9 * time.Second, each([]byte{fin | text, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})},
		{"empty frames", 5 * time.Second, many(1000, "")},
		{"frames of a byte", 5 * time.Second, many(1000, " ")},
		{"pings within a message", 5 * time.Second, append(many(0, ""), bytes.Split(bytes.Repeat([]byte("\x89\x80aaaa,"), 1000), []byte(","))...)},
		{"a ping that is dribbled", 9 * time.Second, each(frame{fin | ping, make([]byte, 100)}.bytes())},
		{"half a message and silence", time.Hour, [][]byte{click("half").bytes()[:9], click("half").bytes()[9:]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *site) {
				v := s.enter(nil, false)
				began := time.Now()
				trickle(v, c.pause, c.pieces...)
				v.leave()
				code, ended := v.state()
				if code != 1008 || ended.Sub(began) > 12*time.Second {
					t.Errorf("got close code %d after %v, want 1008 after 10 s", code, ended.Sub(began))
				}
				if got := s.h.Stats().Abusive; got != 1 {
					t.Errorf("got %d abusive peers, want 1", got)
				}
			})
		})
	}
}

func TestASlowMessageIsRead(t *testing.T) {
	inMemory(t, func(t *testing.T, s *site) {
		v := s.enter(nil, false)
		m := click("slow").bytes()
		trickle(v, 9*time.Second, m[:9], m[9:])
		if v.got(fin|text, `"ack":[["slow",1]]`) != 1 {
			t.Error("it was not answered")
		}
		v.leave()
	})
}

// TestATabThatIsAlwaysWithinAMessageIsRead sends the end of each message with
// the beginning of the next: the time is each one's own.
func TestATabThatIsAlwaysWithinAMessageIsRead(t *testing.T) {
	inMemory(t, func(t *testing.T, s *site) {
		v := s.enter(nil, false)
		var pieces [][]byte
		var rest []byte
		for i := range 100 {
			m := click(fmt.Sprintf("op-%d", i)).bytes()
			pieces = append(pieces, append(rest, m[:9]...))
			rest = m[9:]
		}
		trickle(v, 6*time.Second, append(pieces, rest)...)
		if v.got(fin|text, `"op-99"`) != 1 {
			t.Error("the last was not answered")
		}
		v.leave()
	})
}

func TestAMessageInManyFrames(t *testing.T) {
	for _, c := range []struct {
		frames, want int
	}{{256, 0}, {257, 1008}} {
		inMemory(t, func(t *testing.T, s *site) {
			v := s.enter(nil, false)
			m := click("pieces").payload
			pieces := many(c.frames-2, "")
			pieces = append(pieces, frame{fin | cont, m}.bytes())
			trickle(v, 0, pieces...)
			if code, _ := v.state(); code != c.want {
				t.Errorf("%d frames: got close code %d, want %d", c.frames, code, c.want)
			}
			if got, want := v.got(fin|text, `"pieces"`) == 1, c.want == 0; got != want {
				t.Errorf("%d frames: answered: got %v, want %v", c.frames, got, want)
			}
			v.leave()
		})
	}
}

func TestControlFramesAreBounded(t *testing.T) {
	repeat := func(n int, b []byte) [][]byte { return bytes.SplitAfter(bytes.Repeat(b, n), b)[:n] }
	for _, c := range []struct {
		name   string
		pause  time.Duration
		pieces [][]byte
		want   int
	}{
		{"a ping a second, for an hour", time.Second, repeat(3600, frame{fin | ping, nil}.bytes()), 0},
		{"a pong a second, for an hour", time.Second, repeat(3600, frame{fin | pong, nil}.bytes()), 0},
		{"a hundred at once, every 15 s", 15 * time.Second, repeat(100, bytes.Repeat(frame{fin | ping, nil}.bytes(), 100)), 0},
		{"pings for ever", 0, repeat(10_000, frame{fin | ping, nil}.bytes()), 1008},
		{"pongs for ever", 0, repeat(10_000, frame{fin | pong, nil}.bytes()), 1008},
		{"twenty a second", 50 * time.Millisecond, repeat(1000, frame{fin | ping, nil}.bytes()), 1008},
		{"between messages", 10 * time.Millisecond, repeat(1000, append(frame{fin | ping, nil}.bytes(), click("x").bytes()...)), 1008},
		{"in pieces", time.Millisecond, each(bytes.Repeat(frame{fin | ping, nil}.bytes(), 1000)), 1008},
		{"many in one piece", 0, [][]byte{bytes.Repeat(frame{fin | ping, nil}.bytes(), 600)}, 1008},
	} {
		t.Run(c.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *site) {
				v := s.enter(nil, false)
				trickle(v, c.pause, c.pieces...)
				if code, _ := v.state(); code != c.want {
					t.Errorf("got close code %d, want %d", code, c.want)
				}
				if got := v.got(fin|pong, ""); c.want != 0 && got > 400 {
					t.Errorf("got %d pongs, want few", got)
				}
				v.leave()
			})
		})
	}
}

func TestATabThatAnswersPingsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, echo{}, wslive.Options{})
		defer s.stop()
		v := s.enter(nil, true)
		time.Sleep(time.Hour)
		if _, ended := v.state(); !ended.IsZero() {
			t.Fatal("it was closed")
		}
		if got := len(v.pinged()); got < 119 || got > 121 {
			t.Errorf("got %d pings in an hour, want one every 30 s", got)
		}
		v.leave()
	})
}

func TestATabThatTalksIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, echo{}, wslive.Options{})
		defer s.stop()
		v := s.enter(nil, false)
		for range 200 {
			v.send(click("x"))
			time.Sleep(14 * time.Second)
		}
		if got := len(v.pinged()); got != 0 {
			t.Errorf("got %d pings, want none", got)
		}
		v.leave()
	})
}

func TestASilentTabIsCutOff(t *testing.T) {
	for _, c := range []struct {
		name        string
		opts        wslive.Options
		least, most time.Duration // 0: it is kept
	}{
		{"by default", wslive.Options{}, 45 * time.Second, 76 * time.Second},
		{"soon", wslive.Options{PingInterval: 10 * time.Second, PongTimeout: time.Second}, 6 * time.Second, 16*time.Second + time.Second/2},
		{"much later than it is pinged", wslive.Options{PingInterval: 10 * time.Second, PongTimeout: time.Minute}, 65 * time.Second, 76 * time.Second},
		{"without a time for the answer", wslive.Options{PongTimeout: -1}, 0, 0},
		{"without pings", wslive.Options{PingInterval: -1}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, echo{}, c.opts)
				defer s.stop()
				began := time.Now()
				v := s.enter(nil, false)
				time.Sleep(time.Hour)
				_, ended := v.state()
				if c.most == 0 {
					if !ended.IsZero() {
						t.Errorf("it was closed after %v", ended.Sub(began))
					}
					v.leave()
					return
				}
				if d := ended.Sub(began); d < c.least || d > c.most {
					t.Errorf("it was cut off after %v, want from %v to %v", d, c.least, c.most)
				}
				if stats, n := s.h.Stats(), s.rt.Stats().Sessions; stats.Silent != 1 || n != 0 {
					t.Errorf("got %d silent and %d connected, want 1 and none", stats.Silent, n)
				}
				v.leave()
			})
		})
	}
}

func TestATabThatFallsSilentLaterIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, echo{}, wslive.Options{})
		defer s.stop()
		v := s.enter(nil, true)
		time.Sleep(10 * time.Minute)
		v.mu.Lock()
		v.answers = false
		v.mu.Unlock()
		fell := time.Now()
		time.Sleep(time.Hour)
		if _, ended := v.state(); ended.IsZero() || ended.Sub(fell) > 76*time.Second {
			t.Errorf("it was cut off after %v", ended.Sub(fell))
		}
		v.leave()
	})
}

func TestPingsNeverComeInABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, echo{}, wslive.Options{})
		defer s.stop()
		const tabs = 640
		var all []*visitor
		for range tabs {
			all = append(all, s.enter(nil, true)) // all at once
		}
		began := time.Now()
		time.Sleep(5 * time.Minute)
		perSecond := make(map[time.Duration]int)
		for _, v := range all {
			if n := len(v.pinged()); n < 9 || n > 10 {
				t.Errorf("a tab got %d pings in five minutes, want one every 30 s", n)
			}
			for _, at := range v.pinged() {
				perSecond[at.Sub(began).Truncate(time.Second)]++
			}
			v.leave()
		}
		for second, n := range perSecond {
			if n > 2*tabs/30 {
				t.Errorf("got %d pings in second %v, want about %d", n, second, tabs/30)
			}
		}
	})
}

// busy is a view that takes its time.
type busy struct{ echo }

func (b busy) HandleEvent(ctx context.Context, s *live.Session, e htmx.Event) error {
	time.Sleep(10 * time.Minute)
	return b.echo.HandleEvent(ctx, s, e)
}

// TestATabThatWaitsForUsIsNotSilent has a tab whose answers nobody reads,
// because its last message is still being handled.
func TestATabThatWaitsForUsIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, busy{}, wslive.Options{})
		defer s.stop()
		v := s.enter(nil, false)
		v.send(click("long"))
		time.Sleep(11 * time.Minute)
		if v.got(fin|text, `"ack":[["long",1]]`) != 1 {
			t.Error("it was cut off before it was answered")
		}
		v.leave()
	})
}
