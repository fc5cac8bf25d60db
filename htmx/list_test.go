package htmx_test

import (
	"encoding/json"
	"testing"

	"lockstep/htmx"
)

func TestListsAreWrittenAsPagesReadThem(t *testing.T) {
	for name, c := range map[string]struct {
		list htmx.List
		html string
		want string
	}{
		"a change": {
			htmx.List{Put: []htmx.Place{{"t9", "t4"}, {"t7", "t9"}, {"t3", ""}}, Gone: []string{"t5", "t6"}}, `<li id="t9">x</li>`,
			`<hx-list hx-target="#l" put="t9:t4 t7:t9 t3:" gone="t5 t6"><li id="t9">x</li></hx-list>`,
		},
		"an update":  {htmx.List{}, `<li id="t9">x</li>`, `<hx-list hx-target="#l"><li id="t9">x</li></hx-list>`},
		"everything": {htmx.List{All: true}, `<li id="t9">x</li>`, `<hx-list hx-target="#l" all><li id="t9">x</li></hx-list>`},
		"a gap":      {htmx.List{All: true, Gap: 12}, ``, `<hx-list hx-target="#l" all gap="12"></hx-list>`},
		"what is no id": {
			htmx.List{Put: []htmx.Place{{`"><b>`, `"`}}, Gone: []string{`"><i>`}}, ``,
			`<hx-list hx-target="#l" put="&#34;&gt;&lt;b&gt;:&#34;" gone="&#34;&gt;&lt;i&gt;"></hx-list>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := decode(t, htmx.Change("list:a", 3, 0, 7, htmx.Partial{Target: "#l", HTML: c.html, List: &c.list}))
			if m["content"] != c.want {
				t.Errorf("got %v, want %s", m["content"], c.want)
			}
			if m["e"] != 3.0 || m["a"] != 0.0 || m["v"] != 7.0 || m["swap"] != "none" {
				t.Errorf("got %v, want the versions 0 to 7 of epoch 3", m)
			}
		})
	}
}

func TestAListMayComeWithWhatIsShownAsAWhole(t *testing.T) {
	m := decode(t, htmx.State("list:a", 1, 2,
		htmx.Partial{Target: "#l", List: &htmx.List{All: true}}, htmx.Partial{Target: "#n", HTML: "0"}))
	const want = `<hx-list hx-target="#l" all></hx-list><hx-partial hx-target="#n" hx-swap="innerMorph">0</hx-partial>`
	if _, based := m["a"]; m["content"] != want || based {
		t.Errorf("got %v, want %s, from no base", m, want)
	}
}

func TestAChangeForTabsThatRenderThemselvesIsText(t *testing.T) {
	m := decode(t, htmx.DataChange("list:a", 1, 2, 3, `{"d":"x"}`))
	if m["a"] != 2.0 || m["v"] != 3.0 || m["state"] != `{"d":"x"}` {
		t.Errorf("got %v", m)
	}
}

// decode reads a message as a page does.
func decode(t *testing.T, message []byte) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
