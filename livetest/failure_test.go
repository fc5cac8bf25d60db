package livetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"lockstep/livetest"
)

// A failing test is one that is to fail: it takes note of how.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure returns how a test fails that does something with a tab. It runs in a bubble, where
// patience costs nothing.
func failure(t *testing.T, do func(tab *livetest.Tab)) (said string) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{TB: t}
		done := make(chan struct{})
		go func() { // ends with the test that fails
			defer close(done)
			do(livetest.Start(f, 1, notes).Open("/"))
		}()
		<-done
		said = f.said
	})
	return said
}

func TestAFailureSaysWhatThereIs(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(tab *livetest.Tab)
		want []string
	}{
		"nothing is found": {
			func(tab *livetest.Tab) { tab.Find(livetest.Role("button", "Save")) },
			[]string{`tab 1 has nothing like this: button "Save"`, "It is at /, live, on replica-a", `heading "Notes"`, `link "Other"`, `textbox "Text" = ""`,
				`combobox "Colour" = "r"`, `checkbox "Loud"`, `button "Write"`},
		},
		"too much is found": {
			func(tab *livetest.Tab) { tab.Find(livetest.CSS("label")) },
			[]string{`has 3 of these, and one was looked for: what "label" selects`},
		},
		"a text does not come": {
			func(tab *livetest.Tab) { tab.Sees("nobody says this") },
			[]string{`does not show "nobody says this"`, `heading "Notes"`},
		},
		"an empty field": {
			func(tab *livetest.Tab) { tab.Find(livetest.Role("button", "Write")).Click() },
			[]string{`does not send the form: this must be filled in: textbox "Text"`},
		},
		"nothing happens": {
			func(tab *livetest.Tab) { tab.Find(livetest.Role("heading", "")).Click() },
			[]string{`does nothing when this is clicked: heading "Notes"`},
		},
		"another page": {
			func(tab *livetest.Tab) { b := tab.Find(livetest.Role("button", "")); tab.Go("/other"); b.Click() },
			[]string{`does not have it any more: button "Write"`},
		},
		"no option": {
			func(tab *livetest.Tab) { tab.Find(livetest.Label("Colour")).Select("Green") },
			[]string{`has no option "Green" here: combobox "Colour"`},
		},
		"what waits": {
			func(tab *livetest.Tab) {
				tab.Live()
				tab.Offline()
				tab.Find(livetest.Label("Text")).Type("x").Submit()
				tab.Answered()
			},
			[]string{"has no answer to what was done", "offline; 1 of what was done waits"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := failure(t, c.do)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %s\nwithout %q", got, want)
				}
			}
		})
	}
}
