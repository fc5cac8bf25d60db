package live

import (
	"errors"
	"fmt"
	"time"
)

// What a program sets up wrongly it is told when it starts, by a panic with a
// sentence: it would fail in every run, and with the first tab otherwise.

// check returns what is wrong with the options, or nil.
func (o *Options) check() error {
	return nonNegative(
		limit{"Options.FrameInterval", o.FrameInterval}, limit{"Options.SendTimeout", o.SendTimeout},
		limit{"Options.StatusInterval", o.StatusInterval},
	)
}

// check returns what is wrong with the options of rooms, or nil.
func (o *RoomsOptions[S]) check(rt *Runtime, hub Hub) error {
	for _, wrong := range []struct {
		is       bool
		sentence string
	}{
		{rt == nil, "NewRooms needs a Runtime"},
		{o.Topic == nil, "RoomsOptions.Topic is nil: a room needs a name"},
		{o.Render == nil, "RoomsOptions.Render is nil: a tab needs something to show"},
		{o.Encode != nil && o.Decode == nil, "RoomsOptions.Decode is nil, but Encode is not: nobody could read what is broadcast"},
		{o.Encode != nil && hub == nil, "RoomsOptions.Encode is set, but there is no Hub to broadcast on"},
		{o.Encode != nil && o.Name == "", "RoomsOptions.Name is empty: rooms that are broadcast need one"},
		{o.Items != nil && (o.Order == nil || o.Load == nil), "RoomsOptions.Items needs Order and Load: a tab must know what is newer, and somebody what is true"},
		{o.Data != nil && o.Order == nil, "RoomsOptions.Data needs Order: a tab that renders itself must know what is newer"},
	} {
		if wrong.is {
			return errors.New(wrong.sentence)
		}
	}
	return nonNegative(
		limit{"RoomsOptions.FrameInterval", o.FrameInterval}, limit{"RoomsOptions.PerTab", o.PerTab}, limit{"RoomsOptions.Refresh", o.Refresh},
		limit{"RoomsOptions.Fresh", o.Fresh}, limit{"RoomsOptions.Digest", o.Digest}, limit{"RoomsOptions.IdleTTL", o.IdleTTL},
	)
}

// A limit is a duration of the options.
type limit struct {
	name string
	d    time.Duration
}

func nonNegative(all ...limit) error {
	for _, l := range all {
		if l.d < 0 {
			return fmt.Errorf("%s is %v: it can't be negative, and 0 is the default", l.name, l.d)
		}
	}
	return nil
}

// mustBe panics with what is wrong.
func mustBe(err error) {
	if err != nil {
		panic("live: " + err.Error())
	}
}

// claimKind takes the name of a kind of rooms, which no other may have.
func (r *Runtime) claimKind(name string) error {
	if name == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.kinds[name]; taken {
		return fmt.Errorf("RoomsOptions.Name %q is that of two kinds of rooms", name)
	}
	r.kinds[name] = struct{}{}
	return nil
}
