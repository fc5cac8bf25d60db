package lockstep

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"lockstep/internal/pause"
	"lockstep/state"
)

// Timers have actions done at a time, each once over all replicas, also when all of them were down
// at that time: they are in the store. A few thousand of them may wait.
type Timers struct {
	app  *App
	list *List[timer]
}

// timersKind is what topics of timers begin with.
const timersKind = "timers"

// timerShards is how many lists timers are in.
const timerShards = 8

// timerSpread is how far apart replicas do the same, at most: mostly one alone does it then.
const timerSpread = 400 * time.Millisecond

// A timer is what is to be done, and when.
type timer struct {
	At     int64        `json:"at"` // ms since 1970
	Topic  string       `json:"t"`
	Action string       `json:"do"`
	In     state.Fields `json:"in,omitempty"`
	User   User         `json:"u,omitzero"`
	Key    string       `json:"k"` // of Doing
}

// setTimer is the input of the actions of timers.
type setTimer struct {
	ID                     string `form:"id"`
	Topic, Action, In, Key string
	At                     int64
	User, Name             string
}

// NewTimers adds timers to an application. There is one of it, and its kind has the name "timers":
// no page shows it.
func NewTimers(a *App) *Timers {
	t := &Timers{app: a, list: ListingWith(a, ListOptions[timer]{
		Kind: state.Kind[state.List[timer]]{Name: timersKind, MaxData: state.MaxData/2 - 64},
		Item: func(Item[timer]) Component { return templ.NopComponent },
	})}
	OnList(t.list, "set", func(l state.List[timer], in setTimer, _ Call) (state.List[timer], error) {
		one := timer{At: in.At, Topic: in.Topic, Action: in.Action, User: User{in.User, in.Name}, Key: in.Key}
		if err := one.In.UnmarshalJSON([]byte(in.In)); err != nil {
			return l, err
		}
		if _, ok := l.Get(in.ID); ok {
			return l.Set(in.ID, one)
		}
		return l.Append(in.ID, one)
	})
	OnList(t.list, "end", func(l state.List[timer], in setTimer, _ Call) (state.List[timer], error) {
		if one, ok := l.Get(in.ID); !ok || in.Key != "" && one.Key != in.Key {
			return l, nil // it has been set anew, or is done with
		}
		return l.Remove(in.ID)
	})
	a.works = append(a.works, t.run)
	return t
}

// Set has an action done on a topic at a time, on behalf of user: once, as soon as the time has
// come and a replica runs. id names the timer, any text: one that is set again takes the place of
// the one before, if that has not run. in is as in Shared.Do. The error is that of Shared.Do, or
// says that there are too many timers.
func (t *Timers) Set(ctx context.Context, id string, at time.Time, topic, action string, in any, user User) error {
	if !t.app.hasAction(topic, action) {
		return errors.New("lockstep: " + topic + " has no action " + strconv.Quote(action))
	}
	fields, err := state.FieldsOf(in)
	if err != nil {
		return err
	}
	raw, err := fields.MarshalJSON()
	if err != nil {
		return err
	}
	shard, key := shardOf(id)
	return t.list.Do(ctx, shard, "set", setTimer{
		ID: key, Topic: topic, Action: action, In: string(raw), At: at.UnixMilli(), User: user.ID, Name: user.Name,
		Key: "timer " + key + " " + strconv.FormatUint(rand.Uint64(), 36),
	}, Doing{})
}

// Cancel ends a timer. One that is not there, or has run, is none.
func (t *Timers) Cancel(ctx context.Context, id string) error {
	shard, key := shardOf(id)
	return t.list.Do(ctx, shard, "end", setTimer{ID: key}, Doing{})
}

// shardOf returns the key of the list that a timer is in, and its id there.
func shardOf(id string) (shard, key string) {
	sum := sha256.Sum256([]byte(id))
	return strconv.Itoa(int(sum[0]) % timerShards), base64.RawURLEncoding.EncodeToString(sum[:15])
}

// run does what is due, until ctx ends.
func (t *Timers) run(ctx context.Context) {
	for i := range timerShards {
		t.app.working.Go(func() { t.runShard(ctx, strconv.Itoa(i)) }) // ends with ctx
	}
}

// runShard does what is due of a list. What a replica knows of it may be old: what is done is done
// by its key, and only once.
func (t *Timers) runShard(ctx context.Context, shard string) {
	lists := make(chan state.List[timer], 1)
	t.app.working.Go(func() { // ends with ctx
		for l := range t.list.Watch(ctx, shard) {
			select {
			case <-lists: // the newest is enough
			default:
			}
			lists <- l
		}
	})
	var all state.List[timer]
	for {
		next := time.NewTimer(t.untilNext(all))
		select {
		case all = <-lists:
		case <-next.C:
			t.runDue(ctx, shard, all)
		case <-ctx.Done():
		}
		next.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// timerIdle is how long nothing is looked at where nothing is due.
const timerIdle = time.Hour

// untilNext is how long it is until something is due, and a little more.
func (t *Timers) untilNext(all state.List[timer]) time.Duration {
	wait := timerIdle
	for _, one := range all.All() {
		wait = min(wait, time.UnixMilli(one.At).Sub(t.app.rt.Clock()))
	}
	return max(wait, 0) + rand.N(timerSpread)
}

// runDue does what is due, and takes it from the list.
func (t *Timers) runDue(ctx context.Context, shard string, all state.List[timer]) {
	now := t.app.rt.Clock().UnixMilli()
	for id, one := range all.All() {
		if one.At > now {
			continue
		}
		err := t.app.do(ctx, one.Topic, one.Action, one.In, Doing{Key: one.Key, User: one.User})
		var refusal Refused
		switch {
		case errors.As(err, &refusal), errors.Is(err, ErrOld), errors.Is(err, ErrNoTopic):
			t.app.opts.Logger.Warn("a timer's action was not done", "topic", one.Topic, "action", one.Action, "err", err)
		case err != nil:
			_ = pause.For(ctx, doRetry) // it is tried again
			return
		}
		if err := t.list.Do(ctx, shard, "end", setTimer{ID: id, Key: one.Key}, Doing{Key: "end " + one.Key}); err != nil {
			_ = pause.For(ctx, doRetry)
			return
		}
	}
}
