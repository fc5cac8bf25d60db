package web

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/app"
	"lockstep/components"
	"lockstep/state"
)

// What is live in the gallery is one state for everybody. It does not grow.
const (
	kept       = 24  // numbers of the course
	told       = 3   // deeds
	maxVoters  = 200 // whose votes count; with one more they begin anew
	clicksGoal = 20  // of the bar

	seats    = 4                // rows of the table
	maxSaid  = 3                // messages
	maxText  = 80               // letters of one
	interval = 10 * time.Second // of the chart
	points   = 19               // of the chart: three minutes
)

// galleryKind is what the topic of the gallery begins with, and galleryKey the rest of it.
const (
	galleryKind = "gallery"
	galleryKey  = "all"
)

// A showcase is what people have done in the gallery.
type showcase struct {
	Clicks int            `json:"clicks"`
	Course []float64      `json:"course"` // seconds between clicks, the newest last
	Last   time.Time      `json:"last"`   // click
	Votes  map[string]int `json:"votes"`  // for which of drinks, by person
	Deeds  []deed         `json:"deeds"`  // the newest first
	People []visitor      `json:"people"` // who were here last, by their clicks, the most first
	Said   []said         `json:"said"`   // the newest last
	Since  time.Time      `json:"since"`  // of the first of Rates
	Rates  []float64      `json:"rates"`  // clicks in each interval, the newest last
}

// A deed is what somebody has done.
type deed struct {
	Who  string    `json:"who"`
	What string    `json:"what"`
	At   time.Time `json:"at"`
}

// A visitor is somebody who has clicked or voted.
type visitor struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Clicks int       `json:"clicks"`
	Last   time.Time `json:"last"`
}

// A said is what somebody has said.
type said struct {
	ID   string    `json:"id"` // of who said it
	Who  string    `json:"who"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// drinks are what there is to vote for.
func drinks() []string { return []string{"Tea", "Coffee", "Water"} }

// A Gallery is what is live in the gallery of components.
type Gallery struct{ shown *lockstep.Shared[showcase] }

// AddGallery has an application show components that are live. It is called before Start.
func AddGallery(a *app.App) *Gallery {
	g := &Gallery{lockstep.ShareWith(a.App, lockstep.SharedOptions[showcase]{
		Kind:     state.Kind[showcase]{Name: galleryKind},
		View:     liveComponents,
		ValidKey: func(key string) bool { return key == galleryKey },
	})}
	lockstep.On(g.shown, "click", func(s showcase, _ struct{}, c lockstep.Call) (showcase, error) {
		return s.click(c), nil
	})
	lockstep.On(g.shown, "vote", func(s showcase, in struct{ For int }, c lockstep.Call) (showcase, error) {
		if in.For < 0 || in.For >= len(drinks()) {
			return s, lockstep.Refused("this is not among the answers")
		}
		return s.vote(in.For, c), nil
	})
	lockstep.On(g.shown, "say", func(s showcase, in struct{ Text string }, c lockstep.Call) (showcase, error) {
		text := strings.TrimSpace(in.Text)
		if text == "" || utf8.RuneCountInString(text) > maxText {
			return s, lockstep.Refused("a message has 1 to " + strconv.Itoa(maxText) + " letters")
		}
		return s.say(text, c), nil
	})
	return g
}

// component is what is live, and how to change it; nil: nothing is.
func (g *Gallery) component() templ.Component {
	if g == nil {
		return nil
	}
	return liveGallery(g.shown.At(galleryKey))
}

func (s showcase) click(c lockstep.Call) showcase {
	s.Clicks = (s.Clicks + 1) % 1_000_000
	if !s.Last.IsZero() {
		s.Course = last(append(s.Course[:len(s.Course):len(s.Course)], c.At.Sub(s.Last).Seconds()), kept)
	}
	s.Last = c.At
	return s.rate(c.At).seat(1, c).tell("has clicked", c)
}

// rate counts a click in its interval. One from before the chart, by another replica's clock, is
// in its first; one from after it moves all on.
func (s showcase) rate(at time.Time) showcase {
	at = at.UTC().Truncate(interval)
	if end := s.Since.Add(2 * points * interval); len(s.Rates) != points || at.After(end) {
		s.Since, s.Rates = at.Add(-(points-1)*interval), make([]float64, points)
	}
	s.Rates = slices.Clone(s.Rates)
	i := max(0, int(at.Sub(s.Since)/interval))
	if late := i - (points - 1); late > 0 {
		s.Since = s.Since.Add(time.Duration(late) * interval)
		s.Rates = append(s.Rates[late:], make([]float64, late)...)
		i = points - 1
	}
	s.Rates[i]++
	return s
}

// seat notes that somebody has clicked, or done something else, in the place of who did nothing
// for the longest time.
func (s showcase) seat(clicks int, c lockstep.Call) showcase {
	all := slices.Clone(s.People)
	i := slices.IndexFunc(all, func(v visitor) bool { return v.ID == c.User })
	switch {
	case i >= 0:
	case len(all) < seats:
		i, all = len(all), append(all, visitor{})
	default:
		i = slices.IndexFunc(all, func(v visitor) bool {
			return !slices.ContainsFunc(all, func(o visitor) bool { return o.Last.Before(v.Last) })
		})
		all[i] = visitor{}
	}
	all[i].ID, all[i].Name, all[i].Last = c.User, whoOf(c), c.At
	all[i].Clicks = min(all[i].Clicks+clicks, 999_999)
	slices.SortStableFunc(all, func(a, b visitor) int { return cmp.Compare(b.Clicks, a.Clicks) })
	s.People = all
	return s
}

func (s showcase) say(text string, c lockstep.Call) showcase {
	s.Said = last(append(s.Said[:len(s.Said):len(s.Said)], said{c.User, whoOf(c), text, c.At}), maxSaid)
	return s.seat(0, c).tell("has said something", c)
}

// whoOf is what people call who acts.
func whoOf(c lockstep.Call) string { return cmp.Or(c.UserName, lockstep.Pseudonym(c.User)) }

func (s showcase) vote(option int, c lockstep.Call) showcase {
	votes := maps.Clone(s.Votes)
	if _, again := votes[c.User]; votes == nil || !again && len(votes) >= maxVoters {
		votes = make(map[string]int)
	}
	votes[c.User] = option
	s.Votes = votes
	return s.seat(0, c).tell("votes for "+drinks()[option], c)
}

func (s showcase) tell(what string, c lockstep.Call) showcase {
	d := deed{whoOf(c), what, c.At}
	s.Deeds = append([]deed{d}, s.Deeds[:min(len(s.Deeds), told-1)]...)
	return s
}

// last returns the last n of some numbers.
func last[T any](all []T, n int) []T { return all[max(0, len(all)-n):] }

func (s showcase) options() []components.PollOption {
	all := make([]components.PollOption, len(drinks()))
	for i, name := range drinks() {
		all[i].Label = name
	}
	for _, option := range s.Votes {
		all[option].N++
	}
	return all
}

func (s showcase) activities() (all []components.Activity) {
	for _, d := range s.Deeds {
		all = append(all, components.Activity{Who: d.Who, Text: d.What, At: d.At})
	}
	return all
}

// columns are of the table of visitors.
func columns() []components.Column {
	return []components.Column{{Label: "Person"}, {Label: "Drinks"}, {Label: "Clicks", Numeric: true, Sorted: components.Descending}}
}

// cells are the row of a visitor.
func (s showcase) cells(v visitor) []string {
	drink := "–"
	if option, ok := s.Votes[v.ID]; ok {
		drink = drinks()[option]
	}
	return []string{v.Name, drink, strconv.Itoa(v.Clicks)}
}

func (s showcase) rates() components.TimeSeriesProps {
	return components.TimeSeriesProps{
		Title: "Clicks", Unit: "in ten seconds, UTC", From: s.Since, Interval: interval, Clock: time.TimeOnly,
		Series: []components.Series{{Name: "everybody", Values: s.Rates}},
	}
}

// names are of those who have done something lately.
func (s showcase) names() (all []string) {
	seen := make(map[string]bool)
	for _, d := range s.Deeds {
		if !seen[d.Who] {
			seen[d.Who] = true
			all = append(all, d.Who)
		}
	}
	return all
}

func (s showcase) progress() components.ProgressProps {
	done := s.Clicks % clicksGoal
	return components.ProgressProps{
		Label: "The next twenty clicks", Value: float64(done), Max: clicksGoal, Text: strconv.Itoa(done) + " of " + strconv.Itoa(clicksGoal),
	}
}
