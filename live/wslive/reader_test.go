package wslive_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/live/wslive"
)

// TestReadersAreShared has tabs that talk all at once, and some that leave in
// the middle of a message: nobody may get what another has sent.
func TestReadersAreShared(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		var tabs sync.WaitGroup
		for i := range 24 {
			tabs.Go(func() {
				compression := websocket.CompressionDisabled
				if i%2 == 0 {
					compression = websocket.CompressionNoContextTakeover
				}
				ws, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{CompressionMode: compression, CompressionThreshold: 1})
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.CloseNow()
				for n := range 20 {
					op := fmt.Sprintf("tab-%d-op-%d", i, n)
					if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"do":"a","op":["`+op+`",1,1]}`)); err != nil {
						t.Error(err)
						return
					}
					// Every message is an answer to this tab, or a welcome.
					if err := answered(t, ws, op, fmt.Sprintf("tab-%d-", i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		tabs.Go(func() {
			for range 20 {
				p := connect(t, url, click("half").bytes()[:9])
				_ = p.c.Close()
			}
		})
		tabs.Wait()
	})
}

func answered(t *testing.T, ws *websocket.Conn, op, mine string) error {
	for {
		_, m, err := ws.Read(t.Context())
		if err != nil {
			return err
		}
		if i := strings.Index(string(m), "tab-"); i >= 0 && !strings.HasPrefix(string(m[i:]), mine) {
			return fmt.Errorf("%s got %s", mine, m)
		}
		if strings.Contains(string(m), `"`+op+`"`) {
			return nil
		}
	}
}

func TestMoreTabsSpeakThanThereAreSpareReaders(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		for _, extensions := range []string{"", extension} {
			var all []*peer
			for range 100 {
				p := connectWith(t, url, extensions, nil)
				p.send(click("first"))
				p.until(fin|text, `"ack":[["first",1]]`) // its reader has been given back, or is about to be
				all = append(all, p)
			}
			message := click("second").bytes()
			for _, p := range all {
				p.write(message[:9])
			}
			for _, p := range all {
				p.write(message[9:])
			}
			for _, p := range all {
				p.until(fin|text, `"ack":[["second",1]]`)
			}
		}
	})
}

// TestDescriptorsAreUsedAgain closes and opens connections so fast that news of
// an old one comes when its descriptor is a new one's.
func TestDescriptorsAreUsedAgain(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		var tabs sync.WaitGroup
		for range 8 {
			tabs.Go(func() {
				for n := range 40 {
					p := connect(t, url, nil)
					op := fmt.Sprintf("op-%d", n)
					p.send(click(op))
					p.until(fin|text, `"ack":[["`+op+`",1]]`)
					if n%2 == 0 {
						_ = p.c.(*net.TCPConn).SetLinger(0)
					}
					_ = p.c.Close()
				}
			})
		}
		tabs.Wait()
	})
}

// flood pushes as long as the tab takes it.
type flood struct{ echo }

func (flood) HandleEvent(_ context.Context, s *live.Session, _ htmx.Event) error {
	for range 500 {
		_ = s.Show(live.Part{Target: "#x", Component: livetest.HTML(strings.Repeat("x", 20_000))}) // a text can be shown
	}
	return nil
}

func TestATabThatDoesNotReadIsCutOff(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		rt, url := serveWith(t, flood{}, opts)
		p := connect(t, url, nil)
		p.send(click("flood"))
		deadline := time.Now().Add(20 * time.Second)
		for s := rt.Stats(); s.Stalled != 1 || s.Sessions > 0; s = rt.Stats() {
			if time.Now().After(deadline) {
				t.Fatalf("got %d stalled and %d connected tabs, want 1 and none", s.Stalled, s.Sessions)
			}
			runtime.Gosched()
		}
	})
}
