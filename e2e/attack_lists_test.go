package e2e_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Guards of lists and logs.

func escapedItemGuard() guard {
	return guard{
		"templ escapes", "app/pages/list_templ.go", "templ.JoinStringErrs(i.Text)\n",
		"templ.JoinStringErrs(i.Text)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(i.Text)\n\t\t}\n",
	}
}

func escapedEntryGuard() guard {
	return guard{
		"templ escapes", "app/pages/log_templ.go", "templ.JoinStringErrs(e.Text)\n",
		"templ.JoinStringErrs(e.Text)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(e.Text)\n\t\t}\n",
	}
}

func itemsGuard() guard {
	return guard{"how many items a list has", "app/list.go", "case l.Len() >= MaxItems:", "case !WITHOUT && l.Len() >= MaxItems:"}
}

func entryLengthGuard() guard {
	return guard{"length of an item or an entry", "app/list.go", "case n > most:", "case !WITHOUT && n > most:"}
}

func repeatsGuard() guard {
	return guard{
		"a hello that asks for all again is a request", "live/claim.go",
		"s.repeats(rooms, at) && !s.mayRepeat()", "!WITHOUT && s.repeats(rooms, at) && !s.mayRepeat()",
	}
}

const (
	todosPage, todos  = "/list/todos", "list:todos"
	lobbyLog, logRoom = "/log/lobby", "log:lobby"
)

// listAttacks are on lists and logs.
func listAttacks(a *target) []attack {
	return []attack{
		{
			name: "script in the items of a list", needs: "list", guards: []guard{escapedItemGuard()},
			run: func(v *victim) error { return writes(v, v.app.items, marker) },
		},
		{
			name: "script in the entries of a log", guards: []guard{a.writtenOf},
			run: func(v *victim) error {
				return errors.Join(writes(v, v.app.log, marker), writes(v, v.app.log, strings.Repeat("<b>", 500/3)))
			},
		},
		{
			name: "an entry that is too long", needs: "limit", guards: []guard{entryLengthGuard()},
			run: func(v *victim) error {
				ws := v.from(hostile).connectTo(lobbyLog)
				if ws.does(logRoom, "say", "text", strings.Repeat("ä", 501)) == "" {
					return errors.New("one of 501 letters is kept")
				}
				return nil
			},
		},
		{
			name: "a list that goes on for ever", needs: "list", guards: []guard{itemsGuard()}, flags: []string{"-tab-rate", "0", "-addr-rate", "0"}, run: fillList,
		},
		{
			name: "ids and places that are none", needs: "list", why: "an action finds an item by its id in a map, and writes none into a page that is not there", run: wrongItems,
		},
		{
			name: "hellos that have items shown again", flood: true, guards: []guard{repeatsGuard()}, refused: `lockstep_turned_away_total{reason="requests_of_address"`,
			flags: []string{"-request-rate", "20", "-request-burst", "40", "-tab-rate", "0", "-addr-rate", "0"}, run: floodListHellos,
		},
		{
			name: "hellos that lie about what is shown", why: "what a tab says of itself is compared with the store, and counts for that tab alone", run: lyingHellos,
		},
		{
			name: "a false list on the broker", needs: "list", redis: true, guards: []guard{brokerSignatureGuard()}, refused: "lockstep_pubsub_forged_total",
			run: func(v *victim) error { return v.patiently(func() error { return falseLists(v) }) },
		},
	}
}

// does does something, and returns why it is refused; "": it is not.
func (ws *rawSocket) does(topic, do string, in ...string) string {
	op := newOpOn(topic)
	op.do, op.in = do, map[string]string{}
	for i := 0; i+1 < len(in); i += 2 {
		op.in[in[i]] = in[i+1]
	}
	ws.text(clickText(op))
	if m := ws.verdict(); !m.acks(op.ID) {
		return m.String()
	}
	return ""
}

// writes writes a text, and looks for markup of it in what others see.
func writes(v *victim, on itemsTarget, text string) error {
	other := v.from(honest).connectTo(on.path)
	other.text(`{"hello":2}`)
	if why := v.from(hostile).connectTo(on.path).does(on.topic, on.do, "text", text); why != "" {
		v.Fatalf("what was written is %s", why)
	}
	seen := 0
	for done := false; !done; seen++ {
		m := other.shown(on.topic)
		if injected(m.Content) || strings.Contains(m.Content, "<b><b>") {
			return errors.New("another tab has it in it")
		}
		if m.cut || m.code != 0 {
			v.Fatalf("the other tab is %s", m)
		}
		done = strings.Contains(m.Content, "&lt;")
	}
	if body := v.from(newcomer).get(on.path).body; injected(body) || strings.Contains(body, "<b><b>") {
		return errors.New("the page has it in it")
	}
	return nil
}

// fillList adds more items than a list has.
func fillList(v *victim) error {
	ws, op := v.from(hostile).connectTo(todosPage), newOpOn(todos)
	op.do, op.in = "add", map[string]string{"text": "x"}
	const all = 1001
	acked, answered := 0, 0
	for sent := 0; answered < all; {
		for ; sent < all && sent < answered+100; sent++ {
			ws.text(clickText(op))
			op = op.next()
		}
		m := ws.verdict()
		if m.cut || m.code != 0 {
			v.Fatalf("the tab is %s", m)
		}
		acked += len(m.Ack)
		answered += max(len(m.Ack), 1)
	}
	if acked > 1000 {
		return fmt.Errorf("a list has %d items", acked)
	}
	if page := v.from(newcomer).get(todosPage); page.status != 200 || strings.Count(page.body, `id="i-`) != 1000 {
		v.Errorf("got %d, with %d items", page.status, strings.Count(page.body, `id="i-`))
	}
	return nil
}

var itemPattern = regexp.MustCompile(`<li[^>]* id="i-([^"]+)"`)

// wrongItems does things with items that are not there, and an item with itself.
func wrongItems(v *victim) error {
	ws := v.from(hostile).connectTo(todosPage)
	for _, text := range []string{"one", "two"} {
		if why := ws.does(todos, "add", "text", text); why != "" {
			v.Fatal(why)
		}
	}
	ids := itemPattern.FindAllStringSubmatch(v.from(auditor).get(todosPage).body, -1)
	if len(ids) != 2 {
		v.Fatalf("got the items %v", ids)
	}
	one := ids[0][1]
	for _, wrong := range []string{marker, "#items", "*", "i-" + one, one + ":x", one + " " + one, "", "__proto__", "constructor", strings.Repeat("x", 1000), "\x00", "é"} {
		for _, do := range []string{"toggle", "remove", "up", "down", "rename", "move"} {
			if why := ws.does(todos, do, "id", wrong, "text", "x", "behind", one); why == "" {
				return fmt.Errorf("%s of %q is done", do, wrong)
			}
		}
		if wrong != "" {
			if why := ws.does(todos, "move", "id", one, "behind", wrong); why == "" {
				return fmt.Errorf("an item is moved behind %q", wrong)
			}
		}
	}
	_ = ws.does(todos, "move", "id", one, "behind", one) // either will do
	after := itemPattern.FindAllStringSubmatch(v.from(auditor).get(todosPage).body, -1)
	if fmt.Sprint(after) != fmt.Sprint(ids) {
		return fmt.Errorf("the list is %v, and was %v", after, ids)
	}
	return nil
}

// floodListHellos has items sent again, which are as long as their page.
func floodListHellos(v *victim) error {
	on, began, shown := v.app.items, time.Now(), 0
	ws := v.from(hostile).connectTo(on.path)
	ws.text(`{"hello":2}`)
	if why := ws.does(on.topic, on.do, "text", "x"); why != "" {
		v.Fatal(why)
	}
	for range v.rounds {
		for range 120 {
			ws.text(`{"hello":2,"at":{"` + on.topic + `":[0,0]}}`)
			if m := ws.shown(on.topic); m.T != "" {
				shown++
			}
		}
		if allowed := budget(20, 40, began); shown > allowed {
			return fmt.Errorf("all is shown %d times to one tab, where %d are allowed", shown, allowed)
		}
	}
	return nil
}

// lyingHellos says that a tab shows what never was, and looks what it and another one are shown.
func lyingHellos(v *victim) error {
	on := v.app.items
	other := v.from(honest).connectTo(on.path)
	other.text(`{"hello":2}`)
	topic, many := strconv.Quote(on.topic), strings.Builder{}
	for i := range 150 {
		fmt.Fprintf(&many, `"list:t%d":[1,1],`, i)
	}
	for i, at := range []string{
		topic + `:[9007199254740991,9007199254740991]`, topic + `:[18446744073709551615,18446744073709551615]`, topic + `:[0,5]`, topic + `:[1,1]`,
		many.String() + topic + `:[0,0]`, topic + `:[-1,1]`, topic + `:["1",1]`, topic + `:[1]`, `"":[1,1]`, `"` + strings.Repeat("x", 3000) + `":[1,1]`,
	} {
		ws := v.from(hostile).connectTo(on.path)
		ws.text(`{"hello":2,"at":{` + at + `}}`)
		ws.text(`{"hello":2,"at":{` + at + `}}`)
		text := fmt.Sprintf("item%d", i)
		if why := other.does(on.topic, on.do, "text", text); why != "" {
			return fmt.Errorf("after %.40s another tab's item is %s", at, why)
		}
		ws.text(`{"hello":2,"at":{"` + on.topic + `":[0,0]}}`)
		for shown := ""; !strings.Contains(shown, text); {
			m := ws.shown(on.topic)
			if m.cut || m.code != 0 {
				return fmt.Errorf("after %.40s the tab is %s", at, m)
			}
			shown = m.Content
		}
		_ = ws.Close()
	}
	return nil
}

var versionPattern = regexp.MustCompile(`data-topic="list:todos" data-version="(\d+)" data-epoch="(\d+)"`)

// falseLists publishes lists and changes of them that nobody has made.
func falseLists(v *victim) error {
	b, ws := openBrokerWire(v), v.from(honest).connectTo(todosPage)
	ws.text(`{"hello":2}`)
	if why := ws.does(todos, "add", "text", "mine"); why != "" {
		v.Fatal(why)
	}
	now := versionPattern.FindStringSubmatch(v.from(auditor).get(todosPage).body)
	if now == nil {
		v.Fatal("there is no version in the page")
	}
	var epoch, version uint64
	_, _ = fmt.Sscan(now[2]+" "+now[1], &epoch, &version) // they are digits
	const forged = `[["forged",{"text":"forged 666"}]]`
	for i := range uint64(20) {
		for _, text := range []string{
			fmt.Sprintf(`{"e":%d,"v":%d,"s":%q}`, epoch, version+1+i, "1 "+forged),
			fmt.Sprintf(`{"e":%d,"v":%d,"a":%d,"d":%q}`, epoch, version+1+i, version, `1 {"put":[["forged",""]],"set":`+forged+`}`),
			fmt.Sprintf(`{"e":%d,"v":%d,"a":%d,"d":%q}`, epoch, version+1+i, version+99, `1 {"gone":["x"],"set":`+forged+`}`),
			fmt.Sprintf(`{"e":%d,"v":%d,"a":%d,"d":"1 {\"put\":[[\"a\",\"a\"],[\"b\",\"c\"]]}"}`, epoch, version+1+i, version),
			fmt.Sprintf(`{"e":%d,"v":%d,"a":%d,"d":"%s"}`, epoch, version+1+i, version, strings.Repeat("[", 1000)),
			fmt.Sprintf(`{"e":%d,"v":%d,"a":18446744073709551615,"d":"1 {}","n":18446744073709551615,"l":["{}"]}`, epoch, version+1+i),
		} {
			b.publish(todos, text)
		}
	}
	for began := time.Now(); time.Since(began) < 500*time.Millisecond; {
		op := newOpOn(todos)
		op.do, op.in = "add", map[string]string{"text": "more"}
		ws.text(clickText(op))
		for done := false; !done; {
			m := ws.hear()
			if strings.Contains(m.Content, "forged 666") {
				return errors.New("a tab shows an item that nobody has added")
			}
			if m.cut || m.code != 0 || m.Op != nil || m.Error != "" {
				return fmt.Errorf("a tab is %s", m)
			}
			done = m.acks(op.ID)
		}
	}
	if strings.Contains(v.from(auditor).get(todosPage).body, "forged") {
		return errors.New("the page shows it")
	}
	return nil
}
