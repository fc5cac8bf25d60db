package planted

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"
)

// An item is one thing in a list, or an entry of a log.
type item struct {
	id, text string
	done     bool
	n        int // of an entry
	rev      int // grows with each look of it
}

// A picture is a version of a list or a log.
type picture struct {
	version uint64
	items   []item
}

// kept is how many versions a topic remembers: a tab that shows an older one is sent all there is.
const kept = 40

// lossy is up to which version frames may be lost: nothing would tell of the last.
const lossy = 150

// pageWindow is how many entries a page has.
const pageWindow = 50

// isItems reports whether messages of the topic say what has changed.
func (c *topic) isItems() bool { return c.kind == "list" || c.kind == "log" }

// nameOf is what an op is called.
func nameOf(o op) string {
	client, err := base64.RawURLEncoding.DecodeString(o.client)
	if err != nil {
		return "" // tabs have such names
	}
	sum := sha256.Sum256(client)
	return base64.RawURLEncoding.EncodeToString(sum[:9]) + "-" + strconv.FormatUint(o.seq, 36)
}

func (c *topic) find(id string) int {
	return slices.IndexFunc(c.items, func(i item) bool { return i.id == id })
}

// checkItem says why an op on an item is refused; "": it is not.
func (c *topic) checkItem(o op) string {
	switch {
	case c.kind == "log", o.do == "add", o.do == "clear":
		return ""
	case c.find(o.in["id"]) < 0:
		return "it is not there any more"
	case o.do == "move" && o.in["behind"] != "" && c.find(o.in["behind"]) < 0:
		return "what it goes behind is not there any more"
	}
	return ""
}

// act does an op on items.
func (c *topic) act(o op) {
	i := c.find(o.in["id"])
	if i < 0 && o.do != "say" && o.do != "add" && o.do != "clear" {
		return // it was done before, and is done again
	}
	c.items = slices.Clone(c.items)
	switch o.do {
	case "say":
		c.said++
		c.items = append(c.items, item{id: nameOf(o), text: o.in["text"], n: c.said})
	case "add":
		c.items = append(c.items, item{id: nameOf(o), text: o.in["text"]})
	case "clear":
		c.items = slices.DeleteFunc(c.items, func(i item) bool { return i.done })
	case "remove":
		c.items = slices.Delete(c.items, i, i+1)
	case "toggle":
		c.items[i].done = !c.items[i].done
		c.items[i].rev++
	case "rename":
		c.items[i].text = o.in["text"]
		c.items[i].rev++
	case "up", "down", "move":
		c.place(i, o)
	}
}

// exchange has two entries in each other's place.
func (c *topic) exchange(a, b string) {
	i, j := c.find(a), c.find(b)
	c.items[i].id, c.items[j].id = b, a
	c.items[i].text, c.items[j].text = c.items[j].text, c.items[i].text
}

// place moves item i.
func (c *topic) place(i int, o op) {
	moved := c.items[i]
	c.items = slices.Delete(c.items, i, i+1)
	to := max(0, i-1)
	switch o.do {
	case "down":
		to = min(len(c.items), i+1)
	case "move":
		to = c.find(o.in["behind"]) + 1
	}
	c.items = slices.Insert(c.items, to, moved)
}

// remember keeps the newest version.
func (c *topic) remember() {
	c.past = append(c.past, picture{c.version, c.items})
	if len(c.past) > kept {
		c.past = c.past[1:]
	}
}

// since are a version and those after it; nil: nobody knows it.
func (c *topic) since(version uint64) []picture {
	i := slices.IndexFunc(c.past, func(p picture) bool { return p.version == version })
	if i < 0 {
		return nil
	}
	return c.past[i:]
}

// hello brings a tab from what it says that it shows to the newest version.
func (s *Server) hello(t *tab, version uint64) {
	c := t.topic
	t.version, t.shows = version, c.since(version) != nil
	if !t.shows || version != c.version {
		t.send(s.frame(t))
	}
}

// frame is what brings a tab from the version that it was sent last to the newest.
func (s *Server) frame(t *tab) string {
	c, b := t.topic, s.bugs
	past := c.since(t.version)
	whole := !t.shows || past == nil
	v := int(c.version)
	from := t.version
	t.version, t.shows = c.version, true
	if c.heldBack(t, b) && len(c.items) > 3 {
		return c.content("", ` all`, c.items[len(c.items)-2:])
	}
	if whole {
		items := c.items
		if c.kind == "log" {
			items = items[max(0, len(items)-pageWindow):]
		}
		return c.content("", c.gap(len(c.items)-len(items)), items)
	}
	if each(b.WrongBase, v) && len(c.past) > 3 && t.number%2 == 0 {
		past, from = c.past[len(c.past)-1:], c.past[0].version // it says that it is of the oldest, and is of the newest
	}
	to := c.items
	if t.number%2 == 0 {
		to = s.spoil(to, v)
	}
	head, fresh := diff(past, to, c.kind == "log")
	if each(b.LostTombstone, v) {
		head, _, _ = strings.Cut(head, " gone=")
	}
	return c.content(fmt.Sprintf(`"a":%d,`, from), head, fresh)
}

// heldBack reports whether a tab is only told of every nth version, and then as if it were all.
func (c *topic) heldBack(t *tab, b Bugs) bool {
	return b.GapForWhole > 0 && c.kind == "log" && t.number%2 == 0
}

// spoil plants what is wrong with the items of version v.
func (s *Server) spoil(items []item, v int) []item {
	n := len(items)
	if n < 4 {
		return items
	}
	switch b := s.bugs; {
	case each(b.LoseEntry, v):
		return items[: n-1 : n-1]
	case each(b.SwapItems, v):
		items = slices.Clone(items)
		items[n-1], items[n-2] = items[n-2], items[n-1]
		if items[n-1].n > 0 {
			items[n-1].n, items[n-2].n = items[n-2].n, items[n-1].n
		}
	}
	return items
}

// gap says how many entries may be missing before those of a whole log.
func (c *topic) gap(n int) string {
	if n <= 0 {
		return " all"
	}
	return fmt.Sprintf(` all gap="%d"`, n)
}

// diff is what leads from each of some versions to items: all are put in their places if any has
// moved since.
func diff(past []picture, to []item, isLog bool) (head string, fresh []item) {
	there := make(map[string]bool, len(to))
	for _, i := range to {
		there[i.id] = true
	}
	var put, gone []string
	same, moved := make(map[string]int), false // in how many of them an item is as it is now
	known := make(map[string]int)              // and in how many it is
	for _, p := range past {
		was := make(map[string]item, len(p.items))
		var before, after []string
		for _, i := range p.items {
			was[i.id] = i
			if there[i.id] {
				before = append(before, i.id)
			} else if id := "i-" + i.id; !slices.Contains(gone, id) {
				gone = append(gone, id)
			}
		}
		for _, i := range to {
			if old, ok := was[i.id]; ok {
				after = append(after, i.id)
				known[i.id]++
				if old == i {
					same[i.id]++
				}
			}
		}
		moved = moved || !slices.Equal(before, after)
	}
	behind := ""
	for _, i := range to {
		if same[i.id] < len(past) {
			fresh = append(fresh, i)
		}
		if moved || known[i.id] < len(past) {
			put = append(put, "i-"+i.id+":"+behind)
		}
		behind = "i-" + i.id
	}
	if isLog {
		return "", fresh
	}
	if len(put) > 0 {
		head += ` put="` + strings.Join(put, " ") + `"`
	}
	if len(gone) > 0 {
		head += ` gone="` + strings.Join(gone, " ") + `"`
	}
	return head, fresh
}

// content is a message with items. base is empty, or says the version that they are a change of.
func (c *topic) content(base, head string, items []item) string {
	content := fmt.Sprintf(`<hx-list hx-target="#items"%s>%s</hx-list><hx-partial hx-target="#head">%d</hx-partial>`, head, c.elements(items), len(c.items))
	return fmt.Sprintf(`{"t":"%s:%s","e":1,%s"v":%d,"swap":"none","content":%q}`, c.kind, c.name, base, c.version, content)
}

// old is a message with a version that was.
func (c *topic) old(p picture) string {
	then := &topic{kind: c.kind, name: c.name, version: p.version, items: p.items}
	return then.content("", ` all gap="1"`, p.items[max(0, len(p.items)-pageWindow):])
}

// elements are the items of a page or a message.
func (c *topic) elements(items []item) string {
	var b strings.Builder
	for _, i := range items {
		class, number, prefix := "", "", "i-"
		if i.done {
			class = ` class="done"`
		}
		if i.n > 0 {
			number, prefix = fmt.Sprintf(` data-n="%d"`, i.n), "m-"
		}
		fmt.Fprintf(&b, `<li id="%s%s"%s%s><b>who</b><span>%s</span><button>x</button></li>`, prefix, i.id, class, number, html.EscapeString(i.text))
	}
	return b.String()
}
