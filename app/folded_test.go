package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// A tab that renders itself is sent what has changed, and shows what it would show of the whole.
func TestATabRendersAListFromWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		const topic = "list:x"
		itself := livetest.Open(t, a.Runtime(), viewOf(t, a, topic))
		for i := range 5 {
			op := itself.Do(topic, "add", fmt.Sprintf(`{"text":"item %d"}`, i))
			itself.Until("the answer", func() bool { return itself.Acked(op) == 1 })
		}
		itself.Send(`{"hello":2,"as":"data"}`)
		itself.Until("the state", func() bool { return itself.Shown(topic).State != "" })
		chain, before := itself.Shown(topic).State, len(itself.Messages())
		renderer, ids := app.NewRender(), idsOf(t, store)
		for _, c := range []struct{ do, in string }{
			{"add", `{"text":"another\nline"}`}, {"toggle", `{"id":"` + ids[1] + `"}`}, {"remove", `{"id":"` + ids[0] + `"}`},
			{"move", `{"id":"` + ids[4] + `","behind":""}`},
		} {
			op := itself.Do(topic, c.do, c.in)
			itself.Until("the answer", func() bool { return itself.Acked(op) == 1 })
			time.Sleep(time.Second)
			sent := statesOf(t, itself, before)
			before = len(itself.Messages())
			if len(sent) != 1 || sent[0].A == nil || strings.Contains(sent[0].State, "\n") {
				t.Fatalf("%s: got %+v, want one change", c.do, sent)
			}
			chain += "\n" + sent[0].State
			r := recordOf(t, store, topic)
			whole, err := json.Marshal(map[string]any{"e": r.Epoch, "v": r.Version, "s": string(r.Data)})
			if err != nil {
				t.Fatal(err)
			}
			_, want, err := render(t, topic, string(whole), "")
			if err != nil {
				t.Fatal(err)
			}
			target, component, err := renderer(topic, []byte(chain), nil, "")
			if err != nil {
				t.Fatal(err)
			}
			var html bytes.Buffer
			if err := component.Render(t.Context(), &html); err != nil {
				t.Fatal(err)
			}
			if html.String() != want || target == "" {
				t.Errorf("%s:\n got %s\nwant %s", c.do, html.String(), want)
			}
		}
		for name, text := range map[string]string{
			"a change twice":   chain + chain[strings.LastIndexByte(chain, '\n'):],
			"a change alone":   chain[strings.LastIndexByte(chain, '\n')+1:],
			"a record behind":  chain + "\n" + itself.Shown("nothing").State + `{"e":1,"v":99,"s":"1 []"}`,
			"anything":         "x",
			"a torn record":    chain[:10],
			"a torn change":    chain[:len(chain)-5],
			"nothing":          "",
			"lines of nothing": "\n\n",
		} {
			if _, _, err := render(t, topic, text, ""); err == nil {
				t.Errorf("%s can be rendered", name)
			}
			if _, _, err := renderer(topic, []byte(text), nil, ""); err == nil {
				t.Errorf("%s can be rendered by one that remembers", name)
			}
		}
	})
}

// statesOf returns the states and changes that a tab was sent, after the first messages.
func statesOf(t *testing.T, tab *livetest.Tab, after int) (all []struct {
	A     *uint64
	State string
}) {
	t.Helper()
	for _, raw := range tab.Messages()[after:] {
		var m struct {
			A     *uint64
			State string
		}
		if err := json.Unmarshal([]byte(raw), &m); err != nil {
			t.Fatal(err)
		}
		if m.State != "" {
			all = append(all, m)
		}
	}
	return all
}
