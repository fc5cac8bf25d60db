package lockstep

import (
	"context"
	"errors"
	"hash/fnv"

	"github.com/a-h/templ"

	"lockstep/live"
)

// A User is who sees and does things. The zero User is nobody in particular.
type User struct {
	ID   string // as actions know them (Call.User); it may be shown to everybody
	Name string // as people call them (Call.UserName); "": nothing
}

// ErrNotAllowed is what a person reads who may not see or do something, where nothing else is said.
const ErrNotAllowed = Refused("you may not do that")

// errUndecided means that it can't be told now whether somebody may do something.
var errUndecided = errors.New("this can't be checked at the moment")

// maySee returns why a user may not see a topic, or nil.
func (a *App) maySee(ctx context.Context, u User, topic string) error {
	if a.opts.See == nil {
		return nil
	}
	return a.decided("See", func() error { return a.opts.See(ctx, u, topic) })
}

// mayAct returns why a user may not do an action, or nil. Who may not see a topic does nothing
// there.
func (a *App) mayAct(ctx context.Context, u User, topic, action string) error {
	if err := a.maySee(ctx, u, topic); err != nil || a.opts.Act == nil {
		return err
	}
	return a.decided("Act", func() error { return a.opts.Act(ctx, u, topic, action) })
}

// decided calls what decides. One that panics has not decided: nobody may, for now.
func (a *App) decided(callback string, decide func() error) error {
	var said error
	if a.guard.Call(callback, func() { said = decide() }) != nil {
		return errUndecided
	}
	return said
}

// refused is what is shown in place of a room that somebody may not see.
func refused(err error) live.Component {
	return elementOf("p", templ.Attributes{"class": "refused", "role": "status"}, templ.Raw(templ.EscapeString(err.Error())))
}

// Recheck asks Options.See again for all rooms that tabs of a user show, on all replicas: what they
// may not see any more is taken away. It does not wait for that. "" is all users.
func (a *App) Recheck(ctx context.Context, user string) error {
	if a.hub == nil {
		return ErrNotStarted
	}
	a.recheck(ctx, user) // here at once, also when the broker is away
	return a.hub.Broadcast(ctx, recheckTopic, []byte(user))
}

// recheckTopic is where replicas tell each other of Recheck.
const recheckTopic = "recheck"

// recheck is Recheck for the tabs of this replica.
func (a *App) recheck(ctx context.Context, user string) {
	for _, v := range a.viewsOf(user) {
		for _, topic := range v.shows() {
			err := a.maySee(ctx, v.visitor.user(), topic)
			if err == nil || errors.Is(err, errUndecided) {
				continue
			}
			v.leave(topic)
			_ = v.session.Show(live.Part{Target: "#" + roomID(topic), Component: refused(err)}) // a text can be shown
		}
	}
}

// connected and gone keep the views of the tabs that are connected here.

func (a *App) connected(v *view) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.views[v] = struct{}{}
}

func (a *App) gone(v *view) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.views, v)
}

// viewsOf returns the views of a user; "": of all.
func (a *App) viewsOf(user string) (all []*view) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for v := range a.views {
		if user == "" || v.visitor.User == user {
			all = append(all, v)
		}
	}
	return all
}

// Pseudonym returns a name for somebody who has none: always the same for the same id, and two
// words that people can tell apart.
func Pseudonym(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails (hash.Hash)
	n := h.Sum32()
	first, last := pseudonyms()
	return first[n%uint32(len(first))] + " " + last[n/uint32(len(first))%uint32(len(last))]
}

func pseudonyms() (first, last [32]string) {
	return [32]string{
			"Amber", "Azure", "Bold", "Brave", "Bright", "Calm", "Clever", "Coral", "Crimson", "Dapper", "Eager", "Gentle",
			"Golden", "Happy", "Indigo", "Ivory", "Jade", "Jolly", "Keen", "Lively", "Lucky", "Mellow", "Nimble", "Olive",
			"Proud", "Quick", "Quiet", "Ruby", "Silver", "Swift", "Teal", "Witty",
		}, [32]string{
			"Badger", "Beaver", "Bison", "Crane", "Deer", "Dolphin", "Eagle", "Falcon", "Finch", "Fox", "Hare", "Hawk",
			"Heron", "Ibex", "Jay", "Koala", "Lark", "Lemur", "Lynx", "Marten", "Moose", "Newt", "Otter", "Owl",
			"Panda", "Puffin", "Raven", "Robin", "Seal", "Swan", "Tiger", "Wren",
		}
}
