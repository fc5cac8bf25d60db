package protocol

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// An Itemized is a Protocol whose pages show items, so that what a person does next depends on what
// they see.
type Itemized interface {
	Protocol
	// Pick is what Choose is for other pages: what a person does next, who is shown items.
	Pick(shown *Items, chance *rand.Rand) (do string, in map[string]string)
}

// An Item is one thing in a list, or an entry of a log.
type Item struct {
	ID   string // without the prefix that it has as the id of an element
	N    uint64 // its number in a log, from 1; 0: it is of a list
	Text string
	Done bool
}

// Items are what a tab shows of a list or a log: of the latter the newest. They must not be
// changed.
type Items struct {
	Kind Kind
	All  []Item
}

// A Change says how items of an older version become those of a newer one.
type Change struct {
	Epoch, Version uint64
	Base           uint64 // the version from which it is right, if HasBase
	HasBase        bool   // otherwise it is right for everybody
	Whole          bool   // Items are all there are
	Items          []Item // that are new, or look otherwise
	Put            []Place
	Gone           []string
	Gap            uint64 // entries before these may be missing: about so many
}

// A Place is where an item is: behind another one, or first behind "".
type Place struct{ ID, Behind string }

// State is the moment that a change leads to.
func (c *Change) State() State { return State{Epoch: c.Epoch, Version: c.Version} }

// keptEntries is how many entries of a log a tab keeps in mind, and judgedEntries how many of these
// are compared with what other tabs show: each page has so many, or all there are.
const (
	keptEntries   = 64
	judgedEntries = 20
)

// State is what people see of items, at a moment: how many there are or ever were, and in Value a
// sum of them all, or of the newest entries of a log.
func (m *Items) State(at State) State {
	all := m.All
	at.Count = int64(len(all))
	if m.Kind == Log {
		at.Count = int64(m.Last())
		all = all[max(0, len(all)-judgedEntries):]
	}
	sum := fnv.New64a()
	for _, item := range all {
		fmt.Fprintf(sum, "%s\x00%d\x00%s\x00%v\x00", item.ID, item.N, item.Text, item.Done)
	}
	at.Value = fmt.Sprintf("%d %s, sum %x", at.Count, m.noun(), sum.Sum64())
	return at
}

func (m *Items) noun() string {
	if m.Kind == Log {
		return "entries"
	}
	return "items"
}

// Last is the number of the newest entry; 0: there is none.
func (m *Items) Last() uint64 {
	if len(m.All) == 0 {
		return 0
	}
	return m.All[len(m.All)-1].N
}

// Index is where an item is; -1: nowhere.
func (m *Items) Index(id string) int { return index(m.All, id) }

func index(all []Item, id string) int {
	return slices.IndexFunc(all, func(item Item) bool { return item.ID == id })
}

// Take returns what a page shows after a change. An error says what of it does not fit what was
// shown; the page shows the rest. A nil m shows nothing.
func (m *Items) Take(c *Change, k Kind) (*Items, error) {
	before := []Item(nil)
	if m != nil {
		before = m.All
	}
	next := &Items{Kind: k}
	var err error
	switch {
	case k == Log:
		next.All, err = takeEntries(before, c)
	case c.Whole:
		next.All, err = slices.Clone(c.Items), twice(c.Items)
	default:
		next.All, err = takeItems(before, c)
	}
	return next, err
}

// twice says which item is there more than once.
func twice(all []Item) error {
	there := make(map[string]bool, len(all))
	for _, item := range all {
		if there[item.ID] {
			return fmt.Errorf("has %s twice", item.ID)
		}
		there[item.ID] = true
	}
	return nil
}

// takeItems puts items in their places.
func takeItems(before []Item, c *Change) (all []Item, err error) {
	all = slices.DeleteFunc(slices.Clone(before), func(item Item) bool { return slices.Contains(c.Gone, item.ID) })
	fresh := make(map[string]Item)
	var late []string
	for _, item := range c.Items {
		if i := index(all, item.ID); i >= 0 {
			all[i] = item
			continue
		}
		fresh[item.ID] = item
		if !slices.ContainsFunc(c.Put, func(p Place) bool { return p.ID == item.ID }) {
			late = append(late, item.ID)
		}
	}
	for _, p := range c.Put {
		item, isNew := fresh[p.ID]
		if i := index(all, p.ID); i >= 0 {
			item = all[i]
			all = slices.Delete(all, i, i+1)
		} else if !isNew {
			err = errors.Join(err, fmt.Errorf("puts %s in its place, which is not there", p.ID))
			continue
		}
		at := index(all, p.Behind) + 1
		if at == 0 && p.Behind != "" {
			err = errors.Join(err, fmt.Errorf("puts %s behind %s, which is not there", p.ID, p.Behind))
			at = len(all)
		}
		all = slices.Insert(all, at, item)
	}
	for _, id := range late {
		all = append(all, fresh[id])
	}
	return all, errors.Join(err, twice(c.Items))
}

// takeEntries appends entries that are new.
func takeEntries(before []Item, c *Change) (all []Item, err error) {
	all = slices.Clone(before)
	last := (&Items{All: before}).Last()
	if c.Whole {
		all = nil
		if len(c.Items) > 0 && last > 0 && c.Items[0].N > last+1 && c.Gap == 0 {
			err = fmt.Errorf("goes on with entry %d after entry %d, and does not say that some are missing", c.Items[0].N, last)
		}
	}
	for _, item := range c.Items {
		newest := (&Items{All: all}).Last()
		switch i := index(all, item.ID); {
		case i >= 0 && all[i] == item && !c.Whole:
		case i >= 0:
			err = errors.Join(err, fmt.Errorf("has entry %s as %d, which was %d before", item.ID, item.N, all[i].N))
		case len(all) > 0 && item.N < all[0].N: // it was there, and is not kept any more
		case item.N <= newest:
			err = errors.Join(err, fmt.Errorf("has entry %d, which is new, behind entry %d", item.N, newest))
		case len(all) > 0 && item.N != newest+1:
			err = errors.Join(err, fmt.Errorf("has entry %d right behind entry %d", item.N, newest))
			all = append(all, item)
		default:
			all = append(all, item)
		}
	}
	return slices.Clip(all[max(0, len(all)-keptEntries):]), err
}

// Name is what an op is called among all of its topic: the id of what it adds.
func (id ID) Name() string {
	client, err := base64.RawURLEncoding.DecodeString(id.Client)
	if err != nil || len(client) != 16 {
		client = []byte(id.Client) // of a wire that has other names
	}
	sum := sha256.Sum256(client)
	return base64.RawURLEncoding.EncodeToString(sum[:9]) + "-" + strconv.FormatUint(id.Seq, 36)
}

// Pick implements Itemized. A list grows to some fifty items, and then stays about as long.
func (l Lockstep) Pick(shown *Items, chance *rand.Rand) (do string, in map[string]string) {
	text := fmt.Sprintf("thing %d", chance.IntN(1_000_000))
	if l.Kind == Log {
		return "say", map[string]string{"text": text}
	}
	n := len(shown.All)
	if add := map[bool]int{true: 60, false: 20}[n < 50]; n < 3 || n < 500 && chance.IntN(100) < add {
		return "add", map[string]string{"text": text}
	}
	id, behind := shown.All[chance.IntN(n)].ID, shown.All[chance.IntN(n)].ID
	if behind == id {
		behind = ""
	}
	switch chance.IntN(20) {
	case 0, 1, 2, 3, 4:
		return "remove", map[string]string{"id": id}
	case 5, 6, 7, 8:
		return "toggle", map[string]string{"id": id}
	case 9, 10, 11, 12:
		return "rename", map[string]string{"id": id, "text": text}
	case 13, 14:
		return "up", map[string]string{"id": id}
	case 15, 16:
		return "down", map[string]string{"id": id}
	case 17:
		return "clear", nil
	}
	return "move", map[string]string{"id": id, "behind": behind}
}

// change reads what a message says of items.
func (l Lockstep) change(w *wire) (*Change, error) {
	c, err := l.items([]byte(w.Content))
	if err != nil {
		return nil, err
	}
	c.Epoch, c.Version = w.Epoch, *w.Version
	if w.Base != nil {
		c.Base, c.HasBase = *w.Base, true
	}
	switch {
	case c.HasBase && c.Base > c.Version:
		return nil, fmt.Errorf("version %d is said to follow from version %d", c.Version, c.Base)
	case !c.HasBase && !c.Whole:
		return nil, fmt.Errorf("version %d is a change, and does not say of which version", c.Version)
	}
	return c, nil
}

// items reads the items of a page or a message.
func (l Lockstep) items(body []byte) (*Change, error) {
	prefix := map[Kind]string{List: "i-", Log: "m-"}[l.Kind]
	c := &Change{}
	z := html.NewTokenizer(bytes.NewReader(body))
	found, open, texted, span := false, false, false, 0
	var err error
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !found {
				err = errors.Join(err, fmt.Errorf("nothing has data-list, and there is no hx-list: is this the page of a %s?", l.Kind))
			}
			return c, err
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, attr := attributes(z)
			_, isList := attr["data-list"]
			switch {
			case tag == "hx-list":
				found = true
				err = errors.Join(err, c.head(attr, prefix))
			case isList && !found:
				found, c.Whole = true, true
			case tag == "li" && strings.HasPrefix(attr["id"], prefix) && found:
				item := Item{ID: strings.TrimPrefix(attr["id"], prefix), Done: slices.Contains(strings.Fields(attr["class"]), "done")}
				item.N, err = number(attr["data-n"], l.Kind == Log, err)
				c.Items, open, texted = append(c.Items, item), true, false
			case tag == "span" && open && (span > 0 || !texted):
				span, texted = span+1, true
			}
		case html.EndTagToken:
			switch tag, _ := z.TagName(); {
			case string(tag) == "li":
				open, span = false, 0
			case string(tag) == "span" && span > 0:
				span--
			}
		case html.TextToken:
			if span > 0 {
				c.Items[len(c.Items)-1].Text += string(z.Text())
			}
		}
	}
}

// number reads the number of an entry; err is what was wrong before.
func number(text string, wanted bool, err error) (uint64, error) {
	if !wanted {
		return 0, err
	}
	n, wrong := strconv.ParseUint(text, 10, 64)
	if wrong != nil || n == 0 {
		wrong = fmt.Errorf("an entry has the number %q", text)
	}
	return n, errors.Join(err, wrong)
}

func attributes(z *html.Tokenizer) (tag string, attr map[string]string) {
	name, more := z.TagName()
	tag, attr = string(name), make(map[string]string)
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		attr[string(key)] = string(value)
	}
	return tag, attr
}

// head reads the attributes of hx-list.
func (c *Change) head(attr map[string]string, prefix string) error {
	_, c.Whole = attr["all"]
	for _, word := range strings.Fields(attr["put"]) {
		id, behind, ok := strings.Cut(word, ":")
		if !ok || !strings.HasPrefix(id, prefix) {
			return fmt.Errorf("%q is no place", word)
		}
		c.Put = append(c.Put, Place{strings.TrimPrefix(id, prefix), strings.TrimPrefix(behind, prefix)})
	}
	for _, id := range strings.Fields(attr["gone"]) {
		c.Gone = append(c.Gone, strings.TrimPrefix(id, prefix))
	}
	if gap := attr["gap"]; gap != "" {
		n, err := strconv.ParseUint(gap, 10, 64)
		if err != nil {
			return fmt.Errorf("a gap of %q", gap)
		}
		c.Gap = n
	}
	return nil
}
