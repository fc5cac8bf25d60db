package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// proofLimit is how long a tab that comes back may take to be in step, or to say that it is not:
// htmx.ProofTimeout and what a busy machine adds.
const proofLimit = 4 * time.Second

// TestAPageWhoseScriptDoesNotComeSaysNothingOfBeingInStep, for ever.
func TestAPageWhoseScriptDoesNotComeSaysNothingOfBeingInStep(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := newPage(t, newBrowser(t))
	tab.try(func(ctx context.Context) error {
		if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{
			URLPatterns: []*network.BlockPattern{{URLPattern: "*://*:*/static/app.*.js", Block: true}},
		})
		return err
	})
	tab.navigate(p.url)
	if s, err := tab.state(); err != nil || s.Open || s.Status != "connecting" || tab.badge() != "Connecting…" {
		t.Errorf("got %+v, %v and %q; want a page that is connecting, without a socket", s, err, tab.badge())
	}
}

// TestATabThatComesBackProvesItsConnection: its connection has died without a word.
func TestATabThatComesBackProvesItsConnection(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	chromium := newBrowser(t)
	other := visit(t, chromium, p.url)
	for _, c := range []struct {
		name      string
		away      func(*page)
		comesBack func(*page)
	}{
		{"to the front", func(p *page) { p.hide(true) }, func(p *page) { p.hide(false) }},
		{"online", nil, dispatch("window", "online")},
		{"from being frozen", nil, dispatch("document", "resume")},
		{"from sleep", nil, func(p *page) { p.evaluate(`{const now = Date.now; Date.now = () => now() + 60000;} ''`) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			link := testserver.NewProxy(t, p.addr())
			tab := visit(t, chromium, "http://"+link.Addr)
			if c.away != nil {
				c.away(tab)
			}
			before, err := tab.state()
			if err != nil {
				t.Fatal(err)
			}
			link.Hole()
			other.click("increment")
			other.until("to have counted", func(s state) bool { return s.Version != before.Version })
			c.comesBack(tab)
			within(t, proofLimit, "the tab to be in step", func() error {
				s, err := tab.state()
				if err == nil && (s.Version == before.Version || s.Status != "live") {
					err = errorOf(s)
				}
				return err
			})
		})
	}
}

// TestATabThatComesBackToNobodySaysSo: there is no other way either.
func TestATabThatComesBackToNobodySaysSo(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	link := testserver.NewProxy(t, p.addr())
	tab := visit(t, newBrowser(t), "http://"+link.Addr)
	link.Stall(true)
	dispatch("window", "online")(tab)
	within(t, proofLimit, "the tab to say that it is offline", func() error {
		s, err := tab.state()
		if err == nil && s.Status != "offline" {
			err = errorOf(s)
		}
		return err
	})
	link.Stall(false)
	tab.isLive()
}

// TestATabThatOnlyWatchesNoticesAHalfOpenConnection by the beat that does not come.
func TestATabThatOnlyWatchesNoticesAHalfOpenConnection(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	chromium := newBrowser(t)
	link := testserver.NewProxy(t, p.addr())
	tab, other := visit(t, chromium, "http://"+link.Addr), visit(t, chromium, p.url)
	link.Hole()
	other.click("increment")
	within(t, patience, "the tab to be in step", func() error { // half of htmx.SilenceTimeout, and the proof
		s, err := tab.state()
		if err == nil && s.Count != "1" {
			err = errorOf(s)
		}
		return err
	})
}

// TestAHiddenTabGoesOnTrying, from its first attempt on.
func TestAHiddenTabGoesOnTrying(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	front := newSocketGate(t, p.url)
	front.shut.Store(true)
	tab := newPage(t, newBrowser(t))
	tab.hide(true)
	tab.navigate(front.url)
	eventually(t, "two attempts", func() error {
		if n := front.refused.Load(); n < 2 {
			return errorOf(n)
		}
		return nil
	})
	front.shut.Store(false)
	tab.until("to be live, and hidden", func(s state) bool { return s.Hidden && s.Open && s.Status == "live" })
}

// TestATabConnectsOverASlowLink: with TLS an attempt needs three round trips, which is longer than
// the first may take.
func TestATabConnectsOverASlowLink(t *testing.T) {
	t.Parallel()
	s := startTLS(t, testserver.FreePort(t))
	link := testserver.NewProxy(t, strings.TrimPrefix(s.url, "https://"))
	tab := newPage(t, newBrowser(t))
	tab.try(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	})
	tab.navigate("https://" + link.Addr)
	tab.isLive()
	link.Cut()
	link.Delay(1300 * time.Millisecond) // each way
	tab.until("to say that it is offline", func(s state) bool { return s.Status == "offline" })
	within(t, 2*patience, "the tab to be live", func() error {
		s, err := tab.state()
		if err == nil && s.Status != "live" {
			err = errorOf(s)
		}
		return err
	})
	dispatch("window", "online")(tab) // the proof takes its time, too
	tab.click("increment")
	tab.showsCount(1)
}

// dispatch has an event happen in a page.
func dispatch(target, event string) func(*page) {
	return func(p *page) { p.evaluate(target + `.dispatchEvent(new Event('` + event + `')); ''`) }
}

// errorOf is what is wrong: what there is instead.
func errorOf(got any) error { return fmt.Errorf("it is %+v", got) }

// A socketGate is a server before another. While it is shut, it lets pages through and no sockets.
type socketGate struct {
	url     string
	shut    atomic.Bool
	refused atomic.Int64
}

func newSocketGate(t *testing.T, to string) *socketGate {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g := &socketGate{}
	next := httputil.NewSingleHostReverseProxy(u)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.shut.Load() && r.Header.Get("Upgrade") != "" {
			g.refused.Add(1)
			http.Error(w, "no sockets", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}
