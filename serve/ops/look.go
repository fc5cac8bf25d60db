package ops

import (
	"cmp"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep"
	"lockstep/components"
)

// look is what a room of rows shows. What others have said before is in heard.
func (o *Ops) look(topic string, values []said) (target string, c lockstep.Component) {
	_, key, _ := strings.Cut(topic, ":")
	now := time.Now()
	for _, v := range values {
		o.heard.take(v, now)
	}
	return "#" + o.kind.At(key).ID(), o.part(key, values, now)
}

func (o *Ops) part(key string, values []said, now time.Time) lockstep.Component {
	prefix, rest, _ := strings.Cut(key, "-")
	switch prefix + "-" {
	case replicaKey:
		for _, r := range o.heard.all() {
			if r.row.ID == rest && r.row.At > 0 {
				return oneReplica(shownReplica{r, now})
			}
		}
		return unknown("Nothing is heard of this replica.")
	case topicKey:
		return oneTopic(topicOf(rest, values, o.heard.course(key)), now)
	case tabKey:
		for _, v := range values {
			if v.Tab != nil {
				return oneTab(*v.Tab, o.heard.course(key), now)
			}
		}
		return unknown("There is no such tab (any more).")
	case filterKey:
		return overview(o.sum(rest, now))
	}
	return overview(o.sum("", now))
}

// lookBack is what the room of lines shows.
func (o *Ops) lookBack(topic string, values []said) (target string, c lockstep.Component) {
	now := time.Now()
	for _, v := range values {
		o.heard.take(v, now)
	}
	_, key, _ := strings.Cut(topic, ":")
	return "#" + o.past.At(key).ID(), history(o.heard.all(), o.heard.events(now), now)
}

// A sum is what is shown of all replicas together.
type sum struct {
	now                       time.Time
	replicas                  []shownReplica
	there, tabs               int
	clicks, messages          uint64 // also of those that are gone
	clickRate, rate, byteRate float64
	hot                       []onTopic
	slow                      []onTab
}

// sum adds up the replicas whose name has a text in it.
func (o *Ops) sum(filter string, now time.Time) sum {
	s := sum{now: now}
	hot := make(map[string]onTopic)
	for _, r := range o.heard.all() {
		if r.row.At == 0 || !strings.Contains(strings.ToLower(r.row.Name), filter) {
			continue
		}
		s.replicas = append(s.replicas, shownReplica{r, now})
		s.clicks, s.messages = s.clicks+r.row.Clicks, s.messages+r.row.Messages
		if r.gone {
			continue
		}
		s.there, s.tabs = s.there+1, s.tabs+r.row.Tabs
		s.clickRate, s.rate, s.byteRate = s.clickRate+r.course.rate(clicksOf), s.rate+r.course.rate(messagesOf), s.byteRate+r.course.rate(bytesOf)
		for _, t := range r.top.Hot {
			all := hot[t.Topic]
			hot[t.Topic] = onTopic{Topic: t.Topic, Tabs: all.Tabs + t.Tabs, Rate: all.Rate + t.Rate}
		}
		for _, t := range r.top.Slow {
			t.ID, t.Name = r.row.ID, r.row.Name
			s.slow = append(s.slow, t)
		}
	}
	s.hot = slices.SortedFunc(maps.Values(hot), hotter)
	s.hot = s.hot[:min(len(s.hot), 2*hottest)]
	slices.SortFunc(s.slow, func(a, b onTab) int { return cmp.Or(cmp.Compare(b.Full, a.Full), cmp.Compare(b.Behind, a.Behind)) })
	s.slow = s.slow[:min(len(s.slow), 2*slowest)]
	return s
}

// A shownReplica is one as it is shown.
type shownReplica struct {
	replica
	now time.Time
}

// state says how it is, and how that is to be taken.
func (r shownReplica) state() (text string, tone components.Tone) {
	switch quiet := r.now.Sub(r.seen); {
	case r.gone:
		return "gone since " + clockOf(r.seen), components.Bad
	case quiet > silentAfter:
		return "silent for " + strconv.Itoa(int(quiet.Seconds())) + " s", components.Warn
	case r.row.Trouble != "":
		return r.row.Trouble, components.Warn
	}
	return "in step", components.Good
}

// rate is by how much something grows in a second; "–": it is gone.
func (r shownReplica) rate(of func(point) uint64) string {
	if r.gone {
		return "–"
	}
	return short(r.course.rate(of))
}

// mean is how much there is of something for each of something else.
func mean[N int64 | uint64](of N, each uint64) float64 {
	if each == 0 {
		return 0
	}
	return float64(of) / float64(each)
}

// A number is one with its name.
type number struct{ name, value string }

// numbers are all of a replica.
func (r shownReplica) numbers() []number {
	w, up := r.row, time.Duration(r.row.At)*time.Millisecond
	perSecondSince := func(n uint64) string { return short(mean(n*1000, uint64(max(w.At, 1)))) }
	return []number{
		{"Version", cmp.Or(w.Version, "–")}, {"Process", w.Process}, {"Up for", up.Round(time.Second).String()},
		{"Tabs", strconv.Itoa(w.Tabs)}, {"Goroutines", strconv.Itoa(w.Goroutines)}, {"Open files", strconv.Itoa(w.Files)},
		{"CPU", cpuOf(r)}, {"Memory", inBytes(float64(w.Memory))},
		{"Clicks a second", r.rate(clicksOf)}, {"Deliveries a second", r.rate(messagesOf)}, {"Bytes a second", inBytes(r.course.rate(bytesOf))},
		{"States for each frame (conflation)", short(mean(w.States, w.Renders))},
		{"Published a second, on average", perSecondSince(w.Published)}, {"Received a second, on average", perSecondSince(w.Received)},
		{"Subscriptions", strconv.Itoa(w.Subscriptions)}, {"A handler takes", inTime(mean(w.Handling, w.Handled))},
		{"Round trip of the broker", inTime(float64(w.RoundTrip))}, {"Connections to the broker after the first", strconv.FormatUint(w.Reconnects, 10)},
		{"Calls of the store", strconv.FormatUint(w.Calls, 10)}, {"A call of the store takes", inTime(mean(w.Calling, w.Calls))},
		{"Conflicts", strconv.FormatUint(w.Conflicts, 10)}, {"Clicks for each change (group)", short(mean(w.Clicks, w.Commits))},
	}
}

// cpuOf is how much of a core the process of a replica takes.
func cpuOf(r shownReplica) string {
	if l := r.lines["cpu"]; len(l.Values) > 0 && !r.gone {
		return short(l.Values[len(l.Values)-1]) + " %"
	}
	return short(mean(r.row.CPU, uint64(max(r.row.At, 1)))/10) + " %" // µs for each ms; since its start
}

// reasons are counts by reason, the most first.
func reasons(counts map[string]uint64) (all []number) {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		all = append(all, number{strings.ReplaceAll(name, "_", " "), strconv.FormatUint(counts[name], 10)})
	}
	return all
}

// total is how many there are of all reasons.
func total(counts map[string]uint64) string {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return strconv.FormatUint(n, 10)
}

// A topicSum is what all replicas have of a topic.
type topicSum struct {
	topic    string
	on       []onTopic
	tabs     int
	messages uint64
	course   course
}

func topicOf(topic string, values []said, c course) topicSum {
	s := topicSum{topic: topic, course: c}
	for _, v := range values {
		if v.Topic == nil {
			continue
		}
		s.on = append(s.on, *v.Topic)
		s.tabs, s.messages = s.tabs+v.Topic.Tabs, s.messages+v.Topic.Messages
	}
	slices.SortFunc(s.on, func(a, b onTopic) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return s
}

// charts are the lines of all replicas, with what has happened.
func charts(all []replica, events []event, now time.Time) (shown []components.TimeSeriesProps) {
	titles := map[string][2]string{
		"clicks": {"Clicks", "a second"}, "deliveries": {"Deliveries", "a second"}, "tabs": {"Tabs", ""}, "cpu": {"CPU of the process", "% of a core"},
		"bytes": {"Sent", "bytes a second"}, "memory": {"Memory of the process", "bytes"},
	}
	last := now.Unix() / int64(step/time.Second)
	kept := keptSteps(all, last)
	var marks []components.Moment
	for _, e := range events[:min(len(events), 20)] {
		marks = append(marks, components.Moment{At: time.UnixMilli(e.At).UTC(), Text: e.Name + " " + e.Text})
	}
	for _, of := range lines() {
		shown = append(shown, components.TimeSeriesProps{
			Title: titles[of][0], Unit: titles[of][1], From: time.Unix((last-kept+1)*int64(step/time.Second), 0).UTC(), Interval: step,
			Series: series(all, of, last, int(kept)), Moments: marks, Clock: "15:04:05",
		})
	}
	return shown
}

// keptSteps is how many steps there are of which something is known: a minute's at least.
func keptSteps(all []replica, last int64) int64 {
	kept := int64(6)
	for _, r := range all {
		for _, l := range r.lines {
			if n := len(l.Values); n > 0 {
				kept = max(kept, last-l.End+int64(n))
			}
		}
	}
	return min(kept, steps)
}

// maxSeries is how many lines can be told apart.
const maxSeries = 4

// series are the lines of a name; of the last, those of all replicas that have none of their own.
func series(all []replica, of string, last int64, kept int) (shown []components.Series) {
	for _, r := range all {
		l, ok := r.lines[of]
		if !ok {
			continue
		}
		values := make([]float64, kept)
		for i := range values {
			values[i] = math.NaN()
			if at := len(l.Values) - 1 - int(l.End-(last-int64(kept)+1+int64(i))); at >= 0 && at < len(l.Values) && l.Values[at] >= 0 {
				values[i] = l.Values[at]
			}
		}
		if len(shown) < maxSeries {
			shown = append(shown, components.Series{Name: l.Name, Values: values})
			continue
		}
		rest := &shown[maxSeries-1]
		rest.Name = "all others"
		for i, v := range values {
			switch {
			case math.IsNaN(rest.Values[i]):
				rest.Values[i] = v
			case !math.IsNaN(v):
				rest.Values[i] += v
			}
		}
	}
	return shown
}

// lastMinute is a course as a chart.
func lastMinute(title, unit string, c course, of func(point) uint64, now time.Time) components.TimeSeriesProps {
	values := c.values(of)
	return components.TimeSeriesProps{
		Title: title, Unit: unit, From: now.Add(-time.Duration(len(values)) * every).UTC(), Interval: every, Clock: "15:04:05",
		Series: []components.Series{{Name: title, Values: values}},
	}
}

// pageOf is the address of a page, from another one.
func pageOf(name, value string) string { return "?" + url.Values{name: {value}}.Encode() }

func clockOf(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// short is a number in few letters.
func short(v float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		if v < 999.5 {
			return strconv.FormatFloat(digits(v), 'f', -1, 64) + unit
		}
		v /= 1000
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + "T"
}

// inBytes is a number of bytes in few letters.
func inBytes(v float64) string {
	text := short(v)
	number := strings.TrimRight(text, "kMGT")
	return number + " " + text[len(number):] + "B"
}

// inTime is a time in µs in few letters.
func inTime(us float64) string {
	switch {
	case us < 1000:
		return short(us) + " µs"
	case us < 1e6:
		return short(us/1000) + " ms"
	}
	return short(us/1e6) + " s"
}
