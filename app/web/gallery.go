package web

import (
	"cmp"
	"maps"
	"strconv"
	"time"

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
}

// A deed is what somebody has done.
type deed struct {
	Who  string    `json:"who"`
	What string    `json:"what"`
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
	return s.tell("has clicked", c)
}

func (s showcase) vote(option int, c lockstep.Call) showcase {
	votes := maps.Clone(s.Votes)
	if _, again := votes[c.User]; votes == nil || !again && len(votes) >= maxVoters {
		votes = make(map[string]int)
	}
	votes[c.User] = option
	s.Votes = votes
	return s.tell("votes for "+drinks()[option], c)
}

func (s showcase) tell(what string, c lockstep.Call) showcase {
	d := deed{cmp.Or(c.UserName, lockstep.Pseudonym(c.User)), what, c.At}
	s.Deeds = append([]deed{d}, s.Deeds[:min(len(s.Deeds), told-1)]...)
	return s
}

// last returns the last n of some numbers.
func last(all []float64, n int) []float64 { return all[max(0, len(all)-n):] }

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
