package app

import (
	"context"
	"errors"
	"maps"
	"slices"

	"lockstep"
	"lockstep/app/pages"
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

// polls adds the kind.
func polls(a *lockstep.App) func(context.Context, string) (Content, string, error) {
	kind := lockstep.ShareWith(a, lockstep.SharedOptions[Poll]{Kind: Polls(), ValidKey: ValidName, Look: lookOfPoll})
	return func(ctx context.Context, name string) (Content, string, error) {
		s, err := kind.Show(ctx, name)
		props := pollProps(s)
		return pollContent{props}, props.Sum(), err
	}
}

// lookOfPoll is how a poll looks.
func lookOfPoll(s lockstep.Shown[Poll]) (string, lockstep.Component) {
	return "#live", pages.PollView(pollProps(s))
}

func pollProps(s lockstep.Shown[Poll]) pages.Poll {
	p := pages.Poll{
		Name: s.Key, Topic: s.Topic, Epoch: s.Epoch, Version: s.Version, Known: s.Known,
		Voters: len(s.State.Votes), Waiting: s.Waiting,
	}
	for _, option := range PollOptions() {
		o := pages.PollOption{Name: option}
		for _, vote := range s.State.Votes {
			if vote == option {
				o.Votes++
			}
		}
		p.Options = append(p.Options, o)
	}
	return p
}

// A pollContent is what the page of one is about.
type pollContent struct{ poll pages.Poll }

// Document implements Content.
func (c pollContent) Document(p pages.Page) live.Component {
	return pages.PollPage(p, c.poll)
}

// Body implements Content.
func (c pollContent) Body(p pages.Page) live.Component { return pages.PollBody(p, c.poll) }
