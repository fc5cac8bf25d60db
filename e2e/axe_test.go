package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
)

// axe returns the source of axe-core, of the version and with the checksum that
// package-lock.json has.
var axe = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("../node_modules/axe-core/axe.min.js")
	if err != nil {
		return "", fmt.Errorf("%w: \"npm ci\" installs it, and so does \"make e2e\"", err)
	}
	return string(b), nil
})

// looksRight has axe-core look at the page, once all that moves has come to
// rest.
func (p *page) looksRight(what string) {
	p.t.Helper()
	source, err := axe()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.evaluate(`typeof axe`) == "undefined" {
		p.evaluate(source + `; ''`)
	}
	report := p.evaluate(`Promise.allSettled(document.getAnimations()
		.filter((a) => a.effect.getComputedTiming().endTime < Infinity).map((a) => a.finished))
		.then(() => axe.run(document, {resultTypes: ['violations']}))
		.then(({violations, passes}) => JSON.stringify({violations, passes: passes.length}))`)
	var found struct {
		Violations []struct {
			ID, Impact, Help string
			Nodes            []struct {
				Target         []any
				FailureSummary string
			}
		}
		Passes int
	}
	if err := json.Unmarshal([]byte(report), &found); err != nil {
		p.t.Fatal(err)
	}
	if found.Passes == 0 {
		p.t.Errorf("axe has found nothing to look at: %s", what)
	}
	for _, v := range found.Violations {
		for _, n := range v.Nodes {
			p.t.Errorf("%s: axe finds %s (%s: %s) at %v: %s", what, v.ID, v.Impact, v.Help, n.Target, n.FailureSummary)
		}
	}
}

// inEachScheme looks at a page in the colours that its browser can show.
func (e engine) inEachScheme(p *page, what string) {
	p.t.Helper()
	schemes := []string{"light"}
	if e.prefers != nil {
		schemes = append(schemes, "dark")
	}
	for _, scheme := range schemes {
		if e.prefers != nil {
			e.prefers(p, scheme)
		}
		if p.evaluate(`String(matchMedia('(prefers-color-scheme: `+scheme+`)').matches)`) != "true" {
			p.t.Errorf("%s is not %s", what, scheme)
		}
		p.looksRight(what + ", " + scheme)
	}
}

func everybodyCanUseIt(s *stage) {
	p := s.visit()
	s.engine.inEachScheme(p, "the page")
	p.click("increment")
	p.hasCounted(1)
	for _, status := range []string{"connecting", "degraded", "offline"} {
		p.evaluate(`document.querySelector('#status').dataset.state = '` + status + `'`)
		s.engine.inEachScheme(p, "the page when "+status)
	}
}

// everybodyCanReadOfProblems looks at the pages that are shown when there is
// no counter, or none yet.
func everybodyCanReadOfProblems(t *testing.T, e engine, open opener, server *process) {
	t.Run("an address that is none", func(t *testing.T) {
		p := open(t)
		p.navigate(server.url + "/c/NOPE!")
		e.inEachScheme(p, "the page of an unknown address")
	})
	t.Run("an application that can't start", func(t *testing.T) {
		p := open(t)
		p.navigate(server.url + "/wasm/?name=K!")
		eventually(t, "a failure to be shown", func() error {
			if p.evaluate(`String(document.querySelector('#failure')?.hidden)`) != "false" {
				return fmt.Errorf("got %s", p.evaluate(`document.body.innerText`))
			}
			return nil
		})
		e.inEachScheme(p, "the failure")
	})
	t.Run("an application that is loading", func(t *testing.T) {
		slow, arrive := withholdProgram(t, server)
		p := open(t)
		p.strict = true
		p.navigate(slow + "/wasm/?name=slow")
		e.inEachScheme(p, "the page that is loading")
		if p.evaluate(`String(document.querySelector('#progress')?.hidden)`) != "false" {
			t.Error("the page is not loading any more")
		}
		arrive()
		p.isLive()
	})
}

// withholdProgram returns an address where the server has everything but the
// program for the browser, until arrive is called.
func withholdProgram(t *testing.T, server *process) (base string, arrive func()) {
	t.Helper()
	f := newInterceptor(t, server)
	ctx, arrive := context.WithCancel(context.Background())
	t.Cleanup(arrive)
	f.setEdit(func(path string, _ *reply) {
		if isFile(path, "lockstep.wasm") {
			<-ctx.Done()
		}
	})
	return f.url, arrive
}
