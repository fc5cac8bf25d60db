package history

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Lists is the kind of lists of things to do: items are added at the end, renamed,
// ticked, moved and removed, and what is ticked is cleared. The value has the items
// in their order.
func Lists() Kind { return lists{} }

// An Item is one of a list.
type Item struct {
	ID, Text string
	Done     bool
}

// ListValue is what a list shows.
func ListValue(items []Item) string {
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(item.ID + "=" + url.QueryEscape(item.Text))
		if item.Done {
			b.WriteString(",done")
		}
	}
	return b.String()
}

func readList(value string) (items []Item, err error) {
	there := make(map[string]bool)
	for _, word := range words(value) {
		id, rest, ok := strings.Cut(word, "=")
		escaped, done := strings.CutSuffix(rest, ",done")
		text, err := url.QueryUnescape(escaped)
		switch {
		case err != nil || !ok || id == "":
			return nil, fmt.Errorf("%q is no list", value)
		case there[id]:
			return nil, fmt.Errorf("has item %s twice", id)
		}
		there[id] = true
		items = append(items, Item{id, text, done})
	}
	return items, nil
}

// Name is what an op is called among all of its topic: the id of what it adds. It
// does not tell who made the op, for the client is a secret.
func (id ID) Name() string {
	client, err := base64.RawURLEncoding.DecodeString(id.Client)
	if err != nil || len(client) != 16 {
		client = []byte(id.Client) // of a test
	}
	sum := sha256.Sum256(client)
	return base64.RawURLEncoding.EncodeToString(sum[:9]) + "-" + strconv.FormatUint(id.Seq, 36)
}

type lists struct{}

// Begin implements Kind.
func (lists) Begin(value string) (Ledger, error) {
	before, err := readList(value)
	l := &list{facts: facts{items: make(map[string]*facet)}}
	for i, item := range before {
		l.items[item.ID] = &facet{text: item.Text, done: item.Done, added: true, place: i}
	}
	l.opening = len(before)
	return l, err
}

// A list is the ledger of one.
type list struct {
	facts
	opening int   // items at the beginning
	wrong   error // of an op that can't be, and was applied
}

// facts are what ops say of items, in whatever order they were applied.
type facts struct {
	items   map[string]*facet
	cleared bool // what was ticked then is gone
}

// A facet is what ops say of an item.
type facet struct {
	text    string // as it was added
	done    bool   // when the list began
	added   bool   // it is there, unless it is removed
	adder   ID     // whose op has added it; of nobody: it was there
	place   int    // at the beginning
	toggled int
	moved   bool
	removed bool
	renames []rename
}

type rename struct {
	ID
	text string
}

// of returns what is known of an item; a new one was never added.
func (f *facts) of(id string) *facet {
	if f.items[id] == nil {
		f.items[id] = &facet{}
	}
	return f.items[id]
}

// note takes an op in. It reports whether there is such a one.
func (f *facts) note(op *Op) bool {
	id := op.In["id"]
	switch op.Do {
	case "add":
		item := f.of(op.Name())
		item.text, item.added, item.adder = op.In["text"], true, op.ID
	case "rename":
		item := f.of(id)
		item.renames = append(item.renames, rename{op.ID, op.In["text"]})
	case "toggle":
		f.of(id).toggled++
	case "move", "up", "down":
		f.of(id).moved = true
	case "remove":
		f.of(id).removed = true
	case "clear":
		f.cleared = true
	default:
		return false
	}
	return true
}

// Apply implements Ledger.
func (l *list) Apply(op *Op) {
	if !l.note(op) && l.wrong == nil {
		l.wrong = fmt.Errorf("has done %s %v, which can't be done", op.Do, op.In)
	}
}

// Check implements Ledger. It looks at each item by itself, and at the order of
// those that nobody has moved. What an order of ops comes to, Follow says.
func (l *list) Check(value string, may []*Op) error {
	got, err := readList(value)
	switch {
	case err != nil:
		return err
	case l.wrong != nil:
		return l.wrong
	}
	open := facts{items: make(map[string]*facet)}
	for _, op := range may {
		open.note(op) // what can't be is refused
	}
	shown := make(map[string]bool, len(got))
	for _, item := range got {
		shown[item.ID] = true
		if err := l.checkItem(item, &open); err != nil {
			return err
		}
	}
	for id, f := range l.items {
		if f.added && !shown[id] && !l.mayBeGone(id, &open) {
			return fmt.Errorf("has lost item %s, %q", id, f.text)
		}
	}
	return l.checkOrder(got, &open)
}

// checkItem says why an item can't look as it does.
func (l *list) checkItem(item Item, open *facts) error {
	sure, more := l.items[item.ID], open.items[item.ID]
	if sure == nil {
		sure = &facet{}
	}
	if more == nil {
		more = &facet{}
	}
	text := sure.text
	switch {
	case !sure.added && !more.added:
		return fmt.Errorf("has item %s, %q, which nobody has added", item.ID, item.Text)
	case sure.removed:
		return fmt.Errorf("has item %s, %q, which was removed", item.ID, item.Text)
	case !sure.added:
		text = more.text
	}
	if !sure.mayRead(item.Text, text, more) {
		return fmt.Errorf("has item %s as %q, which it was not called last", item.ID, item.Text)
	}
	if done := sure.done != (sure.toggled%2 == 1); more.toggled == 0 && item.Done != done {
		return fmt.Errorf("has item %s ticked: %v, after %d toggles", item.ID, item.Done, sure.toggled)
	}
	return nil
}

// mayRead reports whether an item can have a text: that of a rename which none of
// the same client follows, or the one that it was added with.
func (f *facet) mayRead(text, added string, more *facet) bool {
	if text == added && len(f.renames) == 0 {
		return true
	}
	last := func(r rename) bool {
		return !slices.ContainsFunc(f.renames, func(other rename) bool { return other.Client == r.Client && other.Seq > r.Seq })
	}
	return slices.ContainsFunc(slices.Concat(f.renames, more.renames), func(r rename) bool { return r.text == text && last(r) })
}

// mayBeGone reports whether an item that was added may be away.
func (l *list) mayBeGone(id string, open *facts) bool {
	f, more := l.items[id], open.items[id]
	if f.removed || more != nil && more.removed {
		return true
	}
	ticked := f.done || f.toggled > 0 || more != nil && more.toggled > 0
	return ticked && (l.cleared || open.cleared)
}

// checkOrder compares the items that nobody has moved, or may have: those of the
// beginning come first, in their order, and those of a client in that of its ops.
func (l *list) checkOrder(got []Item, open *facts) error {
	last := -1
	newest := make(map[string]uint64)
	for _, item := range got {
		f, more := l.items[item.ID], open.items[item.ID]
		if f == nil || !f.added {
			f = more
		}
		switch seq := newest[f.adder.Client]; {
		case l.items[item.ID] != nil && l.items[item.ID].moved, more != nil && more.moved:
		case f.adder.Client == "" && f.place < last:
			return fmt.Errorf("has item %s behind others that it was before, and nobody has moved it", item.ID)
		case f.adder.Client == "":
			last = f.place
		case f.adder.Seq < seq:
			return fmt.Errorf("has item %s, which op %s has added, behind what op %d has", item.ID, f.adder, seq)
		default:
			newest[f.adder.Client], last = f.adder.Seq, l.opening
		}
	}
	return nil
}

// Follow implements Follower.
func (lists) Follow(value string) (Trail, error) {
	items, err := readList(value)
	return &listTrail{items: items}, err
}

// A listTrail is a list from version to version.
type listTrail struct{ items []Item }

// Next implements Trail: it looks for an order of the ops that leads to the value.
func (t *listTrail) Next(value string, must, may []*Op) (known bool, err error) {
	to, err := readList(value)
	if err != nil {
		return true, err
	}
	from := t.items
	t.items = to
	if len(must) == 0 && slices.Equal(from, to) {
		return true, nil
	}
	s := newSearch(to, must, may)
	switch {
	case s.from(from):
		return true, nil
	case len(s.tried) >= maxTried:
		return false, nil
	}
	return true, fmt.Errorf("has %q, and no order of the %d ops in between, of which %d are done, makes that of %q",
		value, len(must)+len(may), len(must), ListValue(from))
}

// maxTried bounds the states that a search comes by.
const maxTried = 3000

// A search looks for an order of ops.
type search struct {
	to      []Item
	wanted  map[string]Item // the same, by id
	clients [][]candidate   // the ops of each, in their order
	at      []int           // how many of them are behind us
	tried   map[string]bool
}

// A candidate is an op that is applied, or may be.
type candidate struct {
	*Op
	must bool
}

func newSearch(to []Item, must, may []*Op) *search {
	s := &search{to: to, wanted: make(map[string]Item, len(to)), tried: make(map[string]bool)}
	for _, item := range to {
		s.wanted[item.ID] = item
	}
	s.queue(must, true)
	s.queue(may, false)
	return s
}

func (s *search) queue(ops []*Op, must bool) {
	for _, op := range ops {
		i := slices.IndexFunc(s.clients, func(c []candidate) bool { return c[0].Client == op.Client })
		if i < 0 {
			s.clients, s.at, i = append(s.clients, nil), append(s.at, 0), len(s.clients)
		}
		s.clients[i] = append(s.clients[i], candidate{op, must})
		slices.SortFunc(s.clients[i], func(a, b candidate) int { return cmp.Compare(a.Seq, b.Seq) })
	}
}

// from reports whether the ops that are left lead from items to where they should.
func (s *search) from(items []Item) bool {
	if slices.Equal(items, s.to) && s.mayEnd() {
		return true
	}
	key := s.key(items)
	if s.tried[key] || len(s.tried) >= maxTried {
		return false
	}
	s.tried[key] = true
	left := s.left()
	if !left.lead(items, s.wanted) {
		return false
	}
	if i := s.alone(left); i >= 0 {
		return s.settle(items, i)
	}
	for i, queue := range s.clients {
		at := s.at[i]
		for j := at; j < len(queue); j++ { // those before are not done
			next, ok := Do(items, queue[j].Op)
			s.at[i] = j + 1
			if ok && s.from(next) {
				return true
			}
			if queue[j].must {
				break
			}
		}
		s.at[i] = at
	}
	return false
}

func (s *search) key(items []Item) string {
	b := make([]byte, 0, 2*len(s.at)+32*len(items))
	for _, at := range s.at {
		b = append(strconv.AppendInt(b, int64(at), 36), ' ')
	}
	for _, item := range items {
		b = append(append(append(b, item.ID...), 0), item.Text...)
		b = append(strconv.AppendBool(append(b, 0), item.Done), 0)
	}
	return string(b)
}

// A rest is what the ops that are left could do.
type rest struct {
	facts
	texts   map[string]map[string]bool // that an item may get, by id
	touched map[string]int             // by how many ops
	ordered bool                       // some depend on the order of items
}

func (s *search) left() rest {
	r := rest{facts: facts{items: make(map[string]*facet)}, texts: make(map[string]map[string]bool), touched: make(map[string]int)}
	for i, queue := range s.clients {
		for _, c := range queue[s.at[i]:] {
			id := c.In["id"]
			r.note(c.Op)
			r.touched[id]++
			switch c.Do {
			case "rename":
				if r.texts[id] == nil {
					r.texts[id] = make(map[string]bool)
				}
				r.texts[id][c.In["text"]] = true
			case "move", "up", "down":
				r.ordered = true
			}
		}
	}
	return r
}

// lead reports whether the ops could, as far as each item by itself shows, lead from
// items to those that are wanted.
func (r *rest) lead(items []Item, wanted map[string]Item) bool {
	there := 0
	for _, item := range items {
		want, ok := wanted[item.ID]
		more := r.items[item.ID]
		switch {
		case !ok && !r.cleared && (more == nil || !more.removed):
			return false
		case !ok:
			continue
		case item.Text != want.Text && !r.texts[item.ID][want.Text], item.Done != want.Done && (more == nil || more.toggled == 0):
			return false
		}
		there++
	}
	for id := range wanted {
		if more := r.items[id]; more != nil && more.added {
			there++
		}
	}
	return there >= len(wanted)
}

// alone is the client whose next op is the only one that is left to say something of
// an item, so that it does not matter when it is done; -1: there is none.
func (s *search) alone(left rest) int {
	for i, queue := range s.clients {
		if s.at[i] == len(queue) || left.cleared {
			continue
		}
		c := queue[s.at[i]]
		more := left.items[c.In["id"]]
		if left.touched[c.In["id"]] > 1 || more != nil && more.added {
			continue
		}
		if c.Do == "toggle" || c.Do == "rename" || c.Do == "remove" && !left.ordered {
			return i
		}
	}
	return -1
}

// settle does the next op of a client, or does not, as it is wanted.
func (s *search) settle(items []Item, i int) bool {
	c := s.clients[i][s.at[i]]
	next, ok := Do(items, c.Op)
	s.at[i]++
	defer func() { s.at[i]-- }()
	if !ok {
		return !c.must && s.from(items)
	}
	id := c.In["id"]
	got, is := find(next, id)
	want, wanted := s.wanted[id]
	if c.must || is == wanted && got == want {
		return s.from(next)
	}
	return s.from(items)
}

func find(items []Item, id string) (Item, bool) {
	i := slices.IndexFunc(items, func(item Item) bool { return item.ID == id })
	if i < 0 {
		return Item{}, false
	}
	return items[i], true
}

// mayEnd reports whether nothing is left that must be done.
func (s *search) mayEnd() bool {
	for i, queue := range s.clients {
		if slices.ContainsFunc(queue[s.at[i]:], func(c candidate) bool { return c.must }) {
			return false
		}
	}
	return true
}

// Do returns a list with an op done; false: it is refused. It changes nothing that
// it is given.
func Do(items []Item, op *Op) ([]Item, bool) {
	items = slices.Clone(items)
	id := op.In["id"]
	i := slices.IndexFunc(items, func(item Item) bool { return item.ID == id })
	switch op.Do {
	case "add":
		return append(items, Item{ID: op.Name(), Text: op.In["text"]}), true
	case "clear":
		return slices.DeleteFunc(items, func(item Item) bool { return item.Done }), true
	}
	if i < 0 {
		return nil, false
	}
	switch op.Do {
	case "rename":
		items[i].Text = op.In["text"]
	case "toggle":
		items[i].Done = !items[i].Done
	case "remove":
		items = slices.Delete(items, i, i+1)
	case "up":
		move(items, i, max(0, i-1))
	case "down":
		move(items, i, min(len(items)-1, i+1))
	case "move":
		return moveBehind(items, i, op.In["behind"])
	default:
		return nil, false
	}
	return items, true
}

// move puts item i at a place, in place.
func move(items []Item, i, to int) {
	item := items[i]
	items = slices.Delete(items, i, i+1)
	_ = slices.Insert(items, to, item) // there is room for it
}

func moveBehind(items []Item, i int, behind string) ([]Item, bool) {
	item := items[i]
	items = slices.Delete(items, i, i+1)
	to := slices.IndexFunc(items, func(item Item) bool { return item.ID == behind }) + 1
	if to == 0 && behind != "" {
		return nil, false
	}
	return slices.Insert(items, to, item), true
}
