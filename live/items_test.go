package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/internal/short"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// A thing is an item of these tests, or an entry.
type thing struct {
	ID  string
	Rev int
}

func (t thing) html() string { return fmt.Sprintf(`<li id="%s">%d</li>`, t.ID, t.Rev) }

// number is that of a thing as an entry.
func (t thing) number() (n int) {
	_, _ = fmt.Sscanf(t.ID, "t%d", &n)
	return n
}

// A listing is a state with items, or what leads to it, or both.
type listing struct {
	Epoch, Version uint64
	Things         []thing `json:",omitempty"`
	First          uint64  // of a log: the number of the first thing
	Delta          *delta  `json:",omitempty"`
	bare           bool    // Things are not known
}

// A delta leads from one version of an epoch to another.
type delta struct {
	Base  uint64
	Order []string // all ids; of a log none
	Set   []thing  // what is new; of a log behind First
	First uint64
}

// deltaOf returns what leads from one listing to another.
func deltaOf(from, to listing, log bool) *delta {
	d := &delta{Base: from.Version}
	if log {
		d.First = from.First + uint64(len(from.Things))
		d.Set = to.Things[len(from.Things):]
		return d
	}
	for _, t := range to.Things {
		d.Order = append(d.Order, t.ID)
		if !slices.Contains(from.Things, t) {
			d.Set = append(d.Set, t)
		}
	}
	return d
}

// apply is RoomsOptions.Apply.
func apply(known, l listing) (listing, bool) {
	switch d := l.Delta; {
	case !l.bare:
		return l, true
	case known.Epoch != l.Epoch || known.Version != d.Base:
		return l, false
	case d.First > 0:
		l.Things, l.First = append(slices.Clone(known.Things), d.Set...), known.First
		if n := len(l.Things) - logKept; n > 0 {
			l.Things, l.First = l.Things[n:], l.First+uint64(n)
		}
	default:
		for _, id := range d.Order {
			is := func(t thing) bool { return t.ID == id }
			i := slices.IndexFunc(d.Set, is)
			if i >= 0 {
				l.Things = append(l.Things, d.Set[i])
				continue
			}
			l.Things = append(l.Things, known.Things[slices.IndexFunc(known.Things, is)])
		}
	}
	l.bare = false
	return l, true
}

// merge is RoomsOptions.Merge, of logs.
func merge(older, newer listing) listing {
	a, b := older.Delta, newer.Delta
	if a == nil || b == nil || a.First == 0 || older.Version != b.Base {
		return newer
	}
	newer.Delta = &delta{Base: a.Base, First: a.First, Set: append(slices.Clone(a.Set), b.Set...)}
	return newer
}

func (l listing) items(log bool) live.Items {
	first := l.First
	if log {
		first = max(first, 1)
	}
	return live.Items{
		Target: "#l", Len: len(l.Things), Log: log, First: first, Window: logWindow,
		Item: func(i int) live.Item {
			t := l.Things[i]
			return live.Item{ID: t.ID, Rev: t.Rev, Render: func() live.Component { return asIs(t.html()) }}
		},
		HeadTarget: "#n", Head: asIs(fmt.Sprint(len(l.Things))),
	}
}

// Of a log, a tab that begins afresh is shown logWindow, and a room knows logKept.
const (
	logWindow = 5
	logKept   = 20
)

// A world is a store, and all that it ever had.
type world struct {
	log bool

	mu   sync.Mutex
	now  listing
	ever map[[2]uint64]listing // of a log with all of its entries
	last int                   // numbers things
	away error
}

func newWorld(log bool) *world {
	w := &world{log: log, now: listing{Epoch: 1, First: 1}, ever: make(map[[2]uint64]listing)}
	w.ever[[2]uint64{1, 0}] = w.now
	return w
}

// change makes a newer state.
func (w *world) change(f func(things []thing) []thing) listing {
	w.mu.Lock()
	defer w.mu.Unlock()
	base := w.now.Version
	was := w.now
	w.now = listing{Epoch: was.Epoch, Version: base + 1, Things: f(slices.Clone(was.Things)), First: was.First}
	w.now.Delta = deltaOf(was, w.now, w.log)
	w.ever[[2]uint64{w.now.Epoch, w.now.Version}] = w.now
	return w.now
}

// restore begins another epoch, in which the newest versions never were.
func (w *world) restore(versions uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	back, ok := w.ever[[2]uint64{w.now.Epoch, w.now.Version - min(w.now.Version, versions)}]
	if !ok {
		back = w.now // of this epoch
	}
	back.Epoch = w.now.Epoch + 1
	w.now = back
	w.ever[[2]uint64{back.Epoch, back.Version}] = back
}

func (w *world) load(_ context.Context, keys ...string) (all []listing, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range keys {
		all = append(all, w.kept(w.now))
	}
	return all, w.away
}

// kept is a state as rooms have it.
func (w *world) kept(l listing) listing {
	if n := len(l.Things) - logKept; w.log && n > 0 {
		l.Things, l.First = l.Things[n:], l.First+uint64(n)
	}
	l.Delta = nil
	return l
}

// told is a state as a commit says it: of a log, what is new alone.
func (w *world) told(l listing) listing {
	if w.log {
		l.Things, l.bare = nil, true
	}
	return l
}

func (w *world) at(e, v uint64) (listing, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok := w.ever[[2]uint64{e, v}]
	return l, ok
}

// thing returns one that was never there.
func (w *world) thing() thing {
	w.last++
	return thing{ID: fmt.Sprintf("t%d", w.last), Rev: 1}
}

// hallway is a replica with one room of items.
type hallway struct {
	w     *world
	rt    *live.Runtime
	rooms *live.Rooms[listing]

	mu   sync.Mutex
	rnd  *rand.Rand
	made map[string]listing // by op
}

func newHallway(w *world, broker *fakeHub, change func(o *live.RoomsOptions[listing])) *hallway {
	h := &hallway{w: w, rt: live.NewRuntime(nil), rnd: rand.New(rand.NewSource(1)), made: make(map[string]listing)}
	h.rt.Start()
	o := live.RoomsOptions[listing]{
		Name:   "things",
		Topic:  func(key string) string { return "t:" + key },
		Render: func(string, listing) (string, live.Component) { return "#l", nil },
		Items:  func(_ string, l listing) (live.Items, bool) { return l.items(w.log), true },
		Order:  func(l listing) (uint64, uint64) { return l.Epoch, l.Version },
		Load:   w.load,
	}
	var hub live.Hub
	if broker != nil {
		hub = ownHub{broker, fmt.Sprintf("%p", h)}
		o.Encode = func(l listing) ([]byte, error) {
			if l.Delta != nil {
				l.Things = nil
			}
			return json.Marshal(l)
		}
		o.Decode = func(p []byte) (l listing, err error) {
			err = json.Unmarshal(p, &l)
			l.bare = l.Delta != nil
			return l, err
		}
		o.Equal = func(a, b listing) bool { return slices.Equal(a.Things, b.Things) }
		o.Apply, o.Merge = apply, merge
	}
	if change != nil {
		change(&o)
	}
	h.rooms = live.NewRooms(h.rt, hub, o)
	return h
}

// An ownHub is a replica's connection to a broker.
type ownHub struct {
	*fakeHub
	replica string
}

func (h ownHub) SubscribeTopic(ctx context.Context, session, topic string, f pubsub.Handler) error {
	return h.fakeHub.SubscribeTopic(ctx, h.replica+session, topic, f)
}

func (h ownHub) UnsubscribeAll(ctx context.Context, session string) error {
	return h.fakeHub.UnsubscribeAll(ctx, h.replica+session)
}

// Mount implements live.View.
func (h *hallway) Mount(ctx context.Context, s *live.Session) error { return h.rooms.Join(ctx, s, "a") }

// HandleEvent implements live.View: an op changes something.
func (h *hallway) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	h.mu.Lock()
	l := h.w.change(shuffle(h.rnd, h.w))
	h.made[fmt.Sprint(e.Op.Client, e.Op.Seq)] = l
	h.mu.Unlock()
	h.rooms.Commit("a", h.w.told(l))
	h.rooms.Ack(s, "a", e.Op)
	return nil
}

// A page is what a browser makes of what it is sent.
type sheet struct {
	t     *testing.T
	w     *world
	tab   *livetest.Tab
	at    *hallway
	read  int // messages
	e, v  uint64
	knows bool
	all   []thing

	wholes, changes, dropped, gaps, acks int
	bytes                                int // of the last message
}

func (p *sheet) hello() {
	at := "{}"
	if p.knows {
		at = fmt.Sprintf(`{"t:a":[%d,%d]}`, p.e, p.v)
	}
	p.tab.Send(fmt.Sprintf(`{"hello":2,"client":"x","at":%s}`, at))
}

// visit connects the tab to a replica, with what it shows.
func (p *sheet) visit(h *hallway) {
	if p.tab != nil {
		p.tab.Disconnect()
	}
	p.tab, p.at, p.read = livetest.Open(p.t, h.rt, h), h, 0
	p.hello()
}

// opened is a page that a replica has rendered.
func opened(t *testing.T, w *world, h *hallway) *sheet {
	t.Helper()
	l, _, err := h.rooms.Read(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	return &sheet{t: t, w: w, e: l.Epoch, v: l.Version, knows: true, all: slices.Clone(l.Things)}
}

// A patch is a message of a room.
type patch struct {
	T, Content string
	E, V       *uint64
	A          *uint64
	Back       bool
	Ack        [][]json.RawMessage
}

// take takes in what has come. When the page is sent what it can't take, it says what it shows.
func (p *sheet) take() {
	all := p.tab.Messages()
	again := false
	for _, raw := range all[p.read:] {
		var m patch
		if err := json.Unmarshal([]byte(raw), &m); err != nil {
			p.t.Fatal(err)
		}
		for _, op := range m.Ack {
			p.acked(strings.ReplaceAll(string(op[0])+string(op[1]), `"`, ""))
		}
		if m.T == "t:a" && m.V != nil && !p.one(m, len(raw)) {
			again = true
		}
	}
	p.read = len(all)
	if again {
		p.hello()
	}
}

// acked checks that an op is in what is shown.
func (p *sheet) acked(op string) {
	p.at.mu.Lock()
	made, ok := p.at.made[op]
	p.at.mu.Unlock()
	if !ok {
		p.t.Errorf("%s is acknowledged, and nobody has made it", op)
	}
	if p.e < made.Epoch || p.e == made.Epoch && p.v < made.Version {
		p.t.Errorf("%s is acknowledged at (%d, %d), and it is in (%d, %d)", op, p.e, p.v, made.Epoch, made.Version)
	}
	p.acks++
}

// one takes in one message, as the scripts do.
func (p *sheet) one(m patch, size int) bool {
	if m.A != nil && (!p.knows || *m.E != p.e || p.v < *m.A) {
		p.dropped++
		return false
	}
	if p.knows && !m.Back && (*m.E < p.e || *m.E == p.e && *m.V < p.v) {
		return true
	}
	p.swap(m.Content, m.A == nil)
	p.e, p.v, p.knows, p.bytes = *m.E, *m.V, true, size
	if m.A == nil {
		p.wholes++
	} else {
		p.changes++
	}
	p.check()
	return true
}

var (
	thingRE = regexp.MustCompile(`<li id="(\w+)">(\d+)</li>`)
	wordsRE = regexp.MustCompile(` (put|gone)="([^"]*)"`)
	gapRE   = regexp.MustCompile(` gap="(\d+)"`)
)

// swap does what an hx-list says.
func (p *sheet) swap(content string, whole bool) {
	p.t.Helper()
	tag, _, ok := strings.Cut(content, ">")
	if !ok || !strings.HasPrefix(tag, `<hx-list hx-target="#l"`) || strings.HasSuffix(tag, " all") != whole && !gapRE.MatchString(tag) {
		p.t.Fatalf("got %q, whole: %v", tag, whole)
	}
	words := make(map[string][]string)
	for _, m := range wordsRE.FindAllStringSubmatch(tag, -1) {
		words[m[1]] = strings.Fields(m[2])
	}
	if gapRE.MatchString(tag) {
		p.gaps++
	}
	if whole {
		p.all = nil
	}
	for _, id := range words["gone"] {
		p.all = slices.DeleteFunc(p.all, func(t thing) bool { return t.ID == id })
	}
	for _, m := range thingRE.FindAllStringSubmatch(content, -1) {
		t := thing{ID: m[1]}
		_, _ = fmt.Sscan(m[2], &t.Rev)
		switch i := p.index(t.ID); {
		case i >= 0:
			p.all[i] = t
		case p.w.log && !whole && len(p.all) > 0 && t.number() < p.all[0].number(): // the page began behind it
		default:
			p.all = append(p.all, t)
		}
	}
	for _, put := range words["put"] {
		id, behind, _ := strings.Cut(put, ":")
		i := p.index(id)
		if i < 0 {
			p.t.Fatalf("%s is put where it is not", id)
		}
		t := p.all[i]
		p.all = slices.Delete(p.all, i, i+1)
		to := 0
		if behind != "" {
			if to = p.index(behind) + 1; to == 0 {
				p.t.Fatalf("%s goes behind %s, which is not there", id, behind)
			}
		}
		p.all = slices.Insert(p.all, to, t)
	}
}

func (p *sheet) index(id string) int {
	return slices.IndexFunc(p.all, func(t thing) bool { return t.ID == id })
}

// check compares what is shown with what was.
func (p *sheet) check() {
	p.t.Helper()
	was, ok := p.w.at(p.e, p.v)
	if !ok {
		p.t.Fatalf("shows (%d, %d), which never was", p.e, p.v)
	}
	want := was.Things
	if p.w.log { // what has gone from the front may be there still, and may not
		if len(p.all) > len(want) || len(p.all) < min(len(want), logWindow) {
			p.t.Fatalf("at (%d, %d): got %d entries of %d", p.e, p.v, len(p.all), len(want))
		}
		want = want[len(want)-len(p.all):]
	}
	if !slices.Equal(p.all, want) {
		p.t.Fatalf("at (%d, %d):\n got %v\nwant %v", p.e, p.v, p.all, want)
	}
}

// shuffle does what people do to lists.
func shuffle(rnd *rand.Rand, w *world) func([]thing) []thing {
	return func(all []thing) []thing {
		for range 1 + rnd.Intn(6) {
			switch k := rnd.Intn(6); {
			case w.log && rnd.Intn(3) > 0:
				all = append(all, w.thing())
			case w.log:
				return append(all, w.thing())
			case k == 0 || len(all) == 0:
				all = slices.Insert(all, rnd.Intn(len(all)+1), w.thing())
			case k == 1 && w.last > 5: // one that may have been there before
				t := thing{ID: fmt.Sprintf("t%d", 1+rnd.Intn(w.last)), Rev: rnd.Intn(3)}
				if !slices.ContainsFunc(all, func(o thing) bool { return o.ID == t.ID }) {
					all = slices.Insert(all, rnd.Intn(len(all)+1), t)
				}
			case k <= 2:
				i := rnd.Intn(len(all))
				all = slices.Delete(all, i, i+1)
			case k == 3:
				all[rnd.Intn(len(all))].Rev = rnd.Intn(3) // which it may have had before
			default:
				i := rnd.Intn(len(all))
				t := all[i]
				all = slices.Delete(all, i, i+1)
				all = slices.Insert(all, rnd.Intn(len(all)+1), t)
			}
		}
		return all
	}
}

func TestEveryTabShowsTheItemsWhateverItMissed(t *testing.T) {
	for _, log := range []bool{false, true} {
		t.Run(map[bool]string{false: "list", true: "log"}[log], func(t *testing.T) {
			seeds := short.Of(30, 8)
			var sum sheet
			for seed := range seeds {
				synctest.Test(t, func(t *testing.T) { wander(t, rand.New(rand.NewSource(int64(seed))), log, &sum) })
			}
			t.Logf("%d changes, %d wholes, %d gaps, %d dropped, %d acks", sum.changes, sum.wholes, sum.gaps, sum.dropped, sum.acks)
			if sum.changes < sum.wholes {
				t.Errorf("got %d changes and %d wholes: changes are what this is for", sum.changes, sum.wholes)
			}
		})
	}
}

// wander is one run of the model: replicas that miss versions, tabs that stall and hop.
func wander(t *testing.T, rnd *rand.Rand, log bool, sum *sheet) {
	w := newWorld(log)
	hub := newHub()
	var sent atomic.Int64
	hub.deaf = func(string) bool { return sent.Add(1)%4 == 0 }
	var all []*hallway
	for range 2 {
		h := newHallway(w, hub, nil)
		defer h.rt.Stop()
		all = append(all, h)
	}
	tabs := make([]*sheet, 6)
	for i := range tabs {
		h := all[rnd.Intn(len(all))]
		tabs[i] = opened(t, w, h)
		tabs[i].visit(h)
	}
	for range 150 {
		if rnd.Intn(80) == 0 {
			w.restore(uint64(rnd.Intn(4)))
		}
		h := all[rnd.Intn(len(all))]
		if rnd.Intn(5) > 0 {
			h.rooms.Commit("a", w.told(w.change(shuffle(rnd, w))))
		}
		if rnd.Intn(2) == 0 {
			time.Sleep(time.Duration(rnd.Intn(60)) * time.Millisecond)
		}
		synctest.Wait()
		stir(rnd, all, tabs[rnd.Intn(len(tabs))])
		for _, tab := range tabs {
			tab.take()
		}
	}
	time.Sleep(5 * time.Second)
	for range 3 {
		synctest.Wait()
		for _, tab := range tabs {
			tab.tab.Resume()
			tab.take()
		}
	}
	for i, tab := range tabs {
		if now := w.now; tab.e != now.Epoch || tab.v != now.Version {
			t.Errorf("tab %d shows (%d, %d), want (%d, %d)", i, tab.e, tab.v, now.Epoch, now.Version)
		}
		sum.changes, sum.wholes = sum.changes+tab.changes, sum.wholes+tab.wholes
		sum.acks += tab.acks
		sum.gaps, sum.dropped = sum.gaps+tab.gaps, sum.dropped+tab.dropped
	}
}

// stir does something to a tab.
func stir(rnd *rand.Rand, all []*hallway, tab *sheet) {
	switch rnd.Intn(8) {
	case 0:
		tab.visit(all[rnd.Intn(len(all))])
	case 1:
		tab.tab.Stall()
	case 2, 3:
		tab.tab.Resume()
	case 4:
		tab.hello()
	case 5, 6:
		tab.tab.Send(tab.tab.Message(htmx.Op{Topic: "t:a", Client: tab.tab.Client(), Seq: uint64(rnd.Int63n(1 << 50))}, 1, "any", "{}"))
	}
}
