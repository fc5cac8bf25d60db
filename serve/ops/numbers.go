package ops

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"lockstep/internal/process"
	"lockstep/live"
)

// said is what a replica says, one of these.
type said struct {
	Row    *row     `json:"r,omitempty"`
	Top    *top     `json:"p,omitempty"`
	Line   *line    `json:"l,omitempty"`
	Events []event  `json:"e,omitempty"`
	Topic  *onTopic `json:"t,omitempty"`
	Tab    *onTab   `json:"s,omitempty"`
}

// from is the id of the replica; "": it is of none.
func (v said) from() string {
	switch {
	case v.Row != nil:
		return v.Row.ID
	case v.Top != nil:
		return v.Top.ID
	case v.Line != nil:
		return v.Line.ID
	case len(v.Events) > 0:
		return v.Events[0].ID
	}
	return ""
}

// A row is what a replica has counted since it was made, and what it has now.
type row struct {
	ID      string `json:"id"`
	Name    string `json:"n"`
	Version string `json:"v,omitempty"`
	Process string `json:"pr"` // replicas of one process say the same
	Trouble string `json:"x,omitempty"`
	At      int64  `json:"at"` // ms of its own clock: since it was made

	CPU        int64  `json:"cpu"` // µs
	Memory     uint64 `json:"mem"`
	Goroutines int    `json:"go"`
	Files      int    `json:"fd,omitempty"`

	Tabs     int    `json:"tabs"`
	Clicks   uint64 `json:"cl"` // that it has had the store deal with, each once
	Messages uint64 `json:"ms"` // deliveries: states of rooms that were sent to tabs
	Bytes    uint64 `json:"by"`
	States   uint64 `json:"st"` // that were to be shown
	Renders  uint64 `json:"re"`

	Published     uint64 `json:"pub"`
	Received      uint64 `json:"rec"`
	Subscriptions int    `json:"sub"`
	Handled       uint64 `json:"hn"`
	Handling      int64  `json:"ht"` // µs, of all that were handled
	RoundTrip     int64  `json:"rt"` // µs
	Reconnects    uint64 `json:"rc,omitempty"`

	Calls     uint64 `json:"ca"` // of the store's Commit
	Calling   int64  `json:"ct"` // µs, of all of them
	Commits   uint64 `json:"co"`
	Conflicts uint64 `json:"cf,omitempty"`

	Refused map[string]uint64 `json:"no,omitempty"` // by reason
	Closed  map[string]uint64 `json:"cd,omitempty"` // by reason
}

// A top is what there is most of.
type top struct {
	ID   string    `json:"id"`
	Hot  []onTopic `json:"h,omitempty"`
	Slow []onTab   `json:"s,omitempty"`
}

// An onTopic is what a replica has of a topic.
type onTopic struct {
	ID       string  `json:"id,omitempty"` // of the replica; "": see where it is
	Name     string  `json:"rn,omitempty"`
	At       int64   `json:"at,omitempty"`
	Topic    string  `json:"t"`
	Tabs     int     `json:"n"`
	States   uint64  `json:"st,omitempty"`
	Messages uint64  `json:"ms,omitempty"`
	Rate     float64 `json:"r,omitempty"` // deliveries a second
}

// An onTab is what a replica has of a tab.
type onTab struct {
	ID         string   `json:"id,omitempty"` // of the replica
	Name       string   `json:"rn,omitempty"`
	At         int64    `json:"at,omitempty"`
	Tab        uint64   `json:"s"`
	Topics     []string `json:"t,omitempty"`
	Full       int64    `json:"f,omitempty"` // ms
	Behind     uint64   `json:"b,omitempty"`
	Waiting    int      `json:"w,omitempty"`
	Unanswered int      `json:"u,omitempty"`
	Messages   uint64   `json:"ms,omitempty"` // since somebody looks
	Bytes      uint64   `json:"by,omitempty"`
}

// A line is a number of a replica over the last fifteen minutes, in steps of ten seconds.
type line struct {
	Of     string    `json:"of"` // a name of lines
	ID     string    `json:"id"`
	Name   string    `json:"n"`
	End    int64     `json:"end"` // number of the last step since 1970
	Values []float64 `json:"v"`   // three digits that count; negative: not known
}

// steps are those of fifteen minutes.
const steps = 90

// lines are the names of lines, in the order in which they are shown.
func lines() []string { return []string{"clicks", "deliveries", "tabs", "cpu", "bytes", "memory"} }

// An event is something that has happened to a replica.
type event struct {
	At   int64  `json:"at"` // ms since 1970
	ID   string `json:"id"`
	Name string `json:"n"`
	Text string `json:"x"`
}

// maxEvents is how many events a replica tells of itself.
const maxEvents = 12

// An own is what this replica has of itself. run owns it, but for what mu guards.
type own struct {
	o       *Ops
	process string
	due     time.Time // the next sample
	before  row       // of the last sample
	last    int64     // its step; 0: there was none
	lines   map[string]*line
	trouble string
	tops    *top              // what top has returned last
	counts  map[string]uint64 // messages by topic, then
	counted time.Time

	mu     sync.Mutex // guards the rest
	events []event
}

func newOwn(o *Ops) *own {
	host, _ := os.Hostname() // "" is one, too
	w := &own{o: o, process: host + ":" + strconv.Itoa(os.Getpid()), due: time.Now(), lines: make(map[string]*line)}
	for _, name := range lines() {
		w.lines[name] = &line{Of: name, ID: o.id, Name: o.app.Replica()}
	}
	w.tell("has started")
	w.before = w.row()
	return w
}

// tell takes note of an event.
func (w *own) tell(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event{time.Now().UnixMilli(), w.o.id, w.o.app.Replica(), text})
	w.events = slices.Clone(w.events[max(0, len(w.events)-maxEvents):])
}

func (w *own) told() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// sample adds to the lines when it is time.
func (w *own) sample(now time.Time) {
	if now.Before(w.due) {
		return
	}
	number := now.Unix() / int64(step/time.Second)
	w.due = time.Unix((number+1)*int64(step/time.Second), 0)
	r := w.row()
	w.notice(r)
	if w.last != 0 && number > w.last {
		for name, v := range rates(w.before, r) {
			w.lines[name].add(number, w.last, v)
		}
	}
	w.last, w.before = number, r
}

// add adds a value after the one of the step before.
func (l *line) add(number, before int64, v float64) {
	for range min(number-before-1, steps) {
		l.Values = append(l.Values, -1)
	}
	l.Values = append(l.Values, digits(v))
	l.Values = slices.Clone(l.Values[max(0, len(l.Values)-steps):])
	l.End = number
}

// digits rounds to three digits that count.
func digits(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	if scale > 1000 {
		scale = 1000
	}
	return math.Round(v*scale) / scale
}

// rates are what lines show of the time between two rows.
func rates(before, r row) map[string]float64 {
	return map[string]float64{
		"clicks":     perSecond(before.Clicks, r.Clicks, before.At, r.At),
		"deliveries": perSecond(before.Messages, r.Messages, before.At, r.At),
		"bytes":      perSecond(before.Bytes, r.Bytes, before.At, r.At),
		"tabs":       float64(r.Tabs),
		"cpu":        perSecond(uint64(before.CPU), uint64(r.CPU), before.At, r.At) / 1e6 * 100, // µs a second; percent of a core
		"memory":     float64(r.Memory),
	}
}

// perSecond is by how much a counter grows in a second. Times are in ms.
func perSecond(from, to uint64, began, ended int64) float64 {
	if to < from || ended <= began {
		return 0
	}
	return float64(to-from) * 1000 / float64(ended-began)
}

// notice takes note of what has happened since the last time.
func (w *own) notice(r row) {
	switch r.Trouble {
	case w.trouble:
	case "":
		w.tell("is in step again")
	default:
		w.tell(r.Trouble)
	}
	if w.trouble = r.Trouble; r.Reconnects > w.before.Reconnects {
		w.tell("is connected to the broker again")
	}
}

// row is what this replica says now.
func (w *own) row() row {
	a, used := w.o.app, process.Used()
	s, writes, hub, times := a.Runtime().Stats(), a.Writes(), a.Hub().Stats(), a.Hub().Times()
	r := row{
		ID: w.o.id, Name: shorten(a.Replica(), 80), Version: shorten(w.o.opts.Version, 60), Process: w.process, At: time.Since(w.o.began).Milliseconds(),
		CPU: used.CPU.Microseconds(), Memory: used.Memory, Goroutines: used.Goroutines, Files: used.Files,
		Tabs: s.Sessions, Clicks: writes.Ops, Messages: s.Deliveries, Bytes: s.Bytes, States: s.States, Renders: s.Renders,
		Published: hub.Published, Received: hub.Received, Subscriptions: hub.Subscriptions,
		Handled: times.Handling.Count, Handling: times.Handling.Sum.Microseconds(), RoundTrip: hub.RoundTrip.Microseconds(), Reconnects: hub.Reconnects,
		Calls: writes.Calls, Commits: writes.Commits, Conflicts: writes.Conflicts,
		Closed: make(map[string]uint64),
	}
	for _, calls := range a.StoreCalls() {
		if calls.Method == "commit" {
			r.Calling = calls.Took.Sum.Microseconds()
		}
	}
	if err := a.Runtime().Err(); err != nil {
		r.Trouble = shorten(trouble(err, a.Runtime().Degraded()), 120)
	}
	for why := range live.Reasons() {
		if n := a.Runtime().Closed(why); n > 0 {
			r.Closed[why.String()] = n
		}
	}
	if s := w.o.server.Load(); s != nil {
		r.Refused = s.Refused()
		for reason, n := range r.Refused {
			if n == 0 {
				delete(r.Refused, reason)
			}
		}
	}
	return r
}

// trouble says what is wrong, without addresses.
func trouble(err error, degraded []string) string {
	if len(degraded) == 0 || strings.Contains(err.Error(), live.ErrDraining.Error()) {
		return "is shutting down"
	}
	return "is degraded: " + strings.Join(degraded, ", ")
}

// shorten cuts a text.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// How many of the hottest topics and slowest tabs a replica tells of.
const (
	hottest = 5
	slowest = 5
)

// top is what there is most of here. Rates are those since the last time, which is some while ago.
func (w *own) top(now time.Time) *top {
	if w.tops != nil && now.Sub(w.counted) < every/2 {
		return w.tops
	}
	t, counts := &top{ID: w.o.id}, make(map[string]uint64)
	passed := now.Sub(w.counted).Seconds()
	var all []onTopic
	for one := range w.o.app.Runtime().Topics() {
		counts[one.Topic] = one.Messages
		if strings.HasPrefix(one.Topic, kindName+":") || strings.HasPrefix(one.Topic, pastName+":") || strings.HasPrefix(one.Topic, "tabs:") || one.Tabs == 0 || len(one.Topic) > maxName/2 {
			continue // what people do here is not what they look for
		}
		hot := onTopic{Topic: one.Topic, Tabs: one.Tabs}
		if before, ok := w.counts[one.Topic]; ok && passed > 0 && one.Messages > before {
			hot.Rate = digits(float64(one.Messages-before) / passed)
		}
		all = append(all, hot)
	}
	w.counts, w.counted = counts, now
	slices.SortFunc(all, hotter)
	t.Hot = all[:min(len(all), hottest)]
	for _, tab := range w.o.app.Runtime().SlowestTabs(slowest) {
		t.Slow = append(t.Slow, w.tab(tab, 1))
	}
	w.tops = t
	return t
}

// hotter orders topics.
func hotter(a, b onTopic) int {
	switch {
	case a.Rate != b.Rate:
		return int(math.Copysign(1, b.Rate-a.Rate))
	case a.Tabs != b.Tabs:
		return b.Tabs - a.Tabs
	}
	return strings.Compare(a.Topic, b.Topic)
}

// tab is what is said of a tab, with some of its topics.
func (w *own) tab(t live.TabInfo, topics int) onTab {
	one := onTab{
		Tab: t.ID, Full: t.Full.Milliseconds(), Behind: t.Behind, Waiting: t.Waiting, Unanswered: t.Unanswered, Messages: t.Messages, Bytes: t.Bytes,
	}
	for _, topic := range t.Topics {
		if len(one.Topics) < topics && !strings.HasPrefix(topic, "tabs:") {
			one.Topics = append(one.Topics, shorten(topic, maxName/2))
		}
	}
	return one
}

// say shares what this replica has of what somebody looks at.
func (o *Ops) say(w *own, keys []string, now time.Time) {
	r := w.row()
	w.notice(r)
	for _, key := range keys {
		name, rest, _ := strings.Cut(key, "-")
		switch {
		case key == allKey:
			o.set(key, o.id, said{Row: &r})
			o.set(key, o.id+".top", said{Top: w.top(now)})
		case key == pastKey:
			o.sayPast(w)
		case name+"-" == filterKey:
			var own said // what has nothing in it is an answer, too: a page waits for all
			if strings.Contains(strings.ToLower(r.Name), rest) {
				own.Row = &r
			}
			o.set(key, o.id, own)
		case name+"-" == replicaKey && rest == o.id:
			o.set(key, o.id, said{Row: &r})
			o.set(key, o.id+".top", said{Top: w.top(now)})
		case name+"-" == topicKey:
			o.sayTopic(key, rest, &r)
		case name+"-" == tabKey:
			o.sayTab(w, key, rest, &r)
		}
	}
}

// sayPast says the lines and events, when they are others than those that were said.
func (o *Ops) sayPast(w *own) {
	events := w.told()
	newest := max(w.last*step.Milliseconds(), events[len(events)-1].At)
	o.mu.Lock()
	one := o.keys[pastKey]
	again := one == nil || one.said == newest
	if !again {
		one.said = newest
	}
	o.mu.Unlock()
	if again {
		return
	}
	for _, l := range w.lines {
		copied := *l
		o.set(pastKey, o.id+"."+l.Of, said{Line: &copied})
	}
	o.set(pastKey, o.id+".events", said{Events: events})
}

// set shares a value. What can't be is not shown: it is too long, or has too many owners.
func (o *Ops) set(key, owner string, v said) {
	if err := o.kindOf(key).Set(key, owner, v); err != nil {
		o.opts.Logger.Debug("ops: not said", "key", key, "owner", owner, "err", err)
	}
}

func (o *Ops) sayTopic(key, topic string, r *row) {
	for one := range o.app.Runtime().Topics() {
		if one.Topic == topic {
			o.set(key, o.id, said{Topic: &onTopic{
				ID: o.id, Name: r.Name, At: r.At, Topic: topic, Tabs: one.Tabs, States: one.States, Messages: one.Messages,
			}})
			return
		}
	}
	o.set(key, o.id, said{}) // as with a filter
}

// sayTab says what there is of a tab of this replica, and begins to count what it is sent.
func (o *Ops) sayTab(w *own, key, rest string, r *row) {
	id, number, _ := strings.Cut(rest, ".")
	tab, err := strconv.ParseUint(number, 10, 64)
	if id != o.id || err != nil {
		return
	}
	o.mu.Lock()
	if one := o.keys[key]; one != nil && one.stop == nil {
		one.stop, _ = o.app.Runtime().WatchTab(tab)
	}
	o.mu.Unlock()
	info, ok := o.app.Runtime().Tab(tab)
	if !ok {
		o.kind.Drop(key, o.id)
		return
	}
	t := w.tab(info, hottest)
	t.ID, t.Name, t.At = o.id, r.Name, r.At
	o.set(key, o.id, said{Tab: &t})
}

// keyOf is the key of a tab's page.
func keyOf(replica string, tab uint64) string { return fmt.Sprintf("%s%s.%d", tabKey, replica, tab) }
