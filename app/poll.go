package app

import (
	"errors"
	"maps"
	"slices"

	"lockstep/components"
	"lockstep/live"
	"lockstep/state"
)

// A Poll is who has voted for what: one vote a person, which may change.
type Poll struct {
	Votes map[string]string `json:"votes,omitempty"` // user → option
}

// PollOptions are what there is to vote for.
func PollOptions() []string { return []string{"spring", "summer", "autumn", "winter"} }

// maxVoters keeps a poll within the size of a state.
const maxVoters = 1000

// Polls is the kind of the demo's polls.
func Polls() state.Kind[Poll] {
	type vote struct{ Option string }
	return state.Kind[Poll]{
		Name: "poll",
		Actions: map[string]state.Action[Poll]{
			"vote": state.Do(func(p Poll, in vote, c state.Call) (Poll, error) {
				switch _, before := p.Votes[c.User]; {
				case !slices.Contains(PollOptions(), in.Option):
					return p, errors.New("this is not among the options")
				case !before && len(p.Votes) >= maxVoters:
					return p, errors.New("this poll has as many voters as it can have")
				}
				next := Poll{Votes: maps.Clone(p.Votes)}
				if next.Votes == nil {
					next.Votes = make(map[string]string)
				}
				next.Votes[c.User] = in.Option
				return next, nil
			}),
		},
	}
}

// lookOfPoll is how a poll looks.
func lookOfPoll(name string, s shown[Poll], waiting int) (string, live.Component) {
	return "#live", components.PollView(pollProps(name, s, s.err == nil, waiting))
}

func pollProps(name string, s shown[Poll], known bool, waiting int) components.Poll {
	p := components.Poll{
		Name: name, Topic: s.topic, Epoch: s.Epoch, Version: s.Version, Known: known,
		Voters: len(s.state.Votes), Waiting: waiting,
	}
	for _, option := range PollOptions() {
		o := components.PollOption{Name: option}
		for _, vote := range s.state.Votes {
			if vote == option {
				o.Votes++
			}
		}
		p.Options = append(p.Options, o)
	}
	return p
}

// pageOfPoll is what a page of it shows.
func pageOfPoll(name string, s shown[Poll], known bool) (Content, string) {
	props := pollProps(name, s, known, 0)
	return pollContent{props}, props.Sum()
}

// A pollContent is what the page of one is about.
type pollContent struct{ poll components.Poll }

// Document implements Content.
func (c pollContent) Document(p components.Page) live.Component {
	return components.PollPage(p, c.poll)
}

// Body implements Content.
func (c pollContent) Body(p components.Page) live.Component { return components.PollBody(p, c.poll) }
