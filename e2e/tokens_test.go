package e2e_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// answer is what a page shows of the last answer.
func (p *page) answer() string {
	p.t.Helper()
	return p.evaluate(`[...document.querySelectorAll('.entries > li')].map((li) => li.querySelector('b') ? '\n' : li.textContent.trim())
		.join(' ').split('\n').at(-1).trim()`)
}

// hasWords waits until a page has more than a number of words of the answer, and returns how many
// it has.
func (p *page) hasWords(n int) (words int) {
	p.t.Helper()
	eventually(p.t, "more words of the answer", func() error {
		if words = len(strings.Fields(p.answer())); words <= n {
			return fmt.Errorf("there are %d, and more than %d are wanted", words, n)
		}
		return nil
	})
	return words
}

// hasAnswer waits until a page has all of an answer, and returns it.
func (p *page) hasAnswer() (text string) {
	p.t.Helper()
	eventually(p.t, "all of the answer", func() error {
		over := p.evaluate(`String(document.querySelector('[data-do=stop]') === null)`)
		if text = p.answer(); over != "true" || !strings.HasSuffix(text, "has said that now.") {
			return fmt.Errorf("there is %q", text)
		}
		return nil
	})
	return text
}

// TestAnAnswerGoesOnThoughItsReplicasAreKilled, and deployed anew: one process is killed while it
// comes, and the other is told to end. Who has seen it all, has reloaded, or comes late, reads each
// word once; and so do they when nothing is killed.
func TestAnAnswerGoesOnThoughItsReplicasAreKilled(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, broker string) {
		ps := startExample(t, "tokens", 2, "-url", broker, "-drain", "0s")
		proxies := [2]*testserver.Proxy{
			testserver.NewProxy(t, ps[0].addr(), ps[1].addr()), testserver.NewProxy(t, ps[1].addr(), ps[0].addr()),
		}
		chromium := newBrowser(t)
		ann, bob := visit(t, chromium, "http://"+proxies[0].Addr), visit(t, chromium, "http://"+proxies[1].Addr)
		ann.fillsIn(newText, "the sea")
		n := bob.hasWords(5)
		ps[0].kill()
		n = bob.hasWords(n + 10)
		ps[0].restart()
		bob.reload()
		n = bob.hasWords(n)
		if code := ps[1].term(); code != 0 {
			t.Errorf("it ends with %d", code)
		}
		ann.hasWords(n + 10)
		late := visit(t, chromium, "http://"+proxies[0].Addr)
		text := ann.hasAnswer()
		ps[1].restart()
		for name, p := range map[string]*page{"bob": bob, "late": late} {
			if got := p.hasAnswer(); got != text {
				t.Errorf("%s reads %q, and ann %q", name, got, text)
			}
		}
		bob.isLive()
		bob.fillsIn(newText, "the sea")
		eventually(t, "another answer", func() error {
			if got := ann.evaluate(`String(document.querySelectorAll('.entries b').length)`); got != strconv.Itoa(2) {
				return fmt.Errorf("there are %s", got)
			}
			return nil
		})
		if got := ann.hasAnswer(); got != text {
			t.Errorf("without a fault it is %q, and with faults it was %q", got, text)
		}
	})
}
