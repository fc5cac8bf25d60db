package app

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/state"
)

// breakKind is what the topic begins with of what is broken on purpose.
const breakKind = "break"

// What can be done to it: by people, and the last one by the program alone.
const (
	breakLoose  = "loose"
	breakEnd    = "end"
	breakBurst  = "burst"
	breakReport = "report"
)

// A burst is so many clicks, and takes so long.
const (
	BurstClicks = 500
	BurstTime   = 5 * time.Second
)

// What can be done to a replica.
const (
	Cut    = "cut"    // the link to the broker
	Drop   = "drop"   // a part of the messages of the broker
	Freeze = "freeze" // all of it
	Kill   = "kill"   // it, and it comes back when the fault is over
)

// Lasts is how long a fault lasts by itself; 0: there is no such fault.
func Lasts(what string) time.Duration {
	switch what {
	case Cut, Drop:
		return 15 * time.Second
	case Freeze, Kill:
		return 10 * time.Second
	}
	return 0
}

// A Fault is one that is let loose.
type Fault struct {
	N       int       `json:"n"` // from 1
	What    string    `json:"what"`
	Replica int       `json:"replica"` // from 0
	Until   time.Time `json:"until"`
}

// A BreakState is what is broken on purpose, and what the judge says of it.
type BreakState struct {
	Seq    int       `json:"seq"` // grows with each change
	At     time.Time `json:"at"`  // of the last change
	Loosed int       `json:"loosed"`
	Faults []Fault   `json:"faults"`
	// Bursts is how many were asked for, the last of which ends at BurstUntil.
	Bursts     int          `json:"bursts"`
	BurstUntil time.Time    `json:"burstUntil"`
	Report     pages.Report `json:"report"`
}

// A Break lets people of a demo let faults loose on the replicas of its process, and shows them in
// every tab.
type Break struct {
	// set once
	key      string
	replicas []string
	shown    *lockstep.Shared[BreakState]
}

// AddBreak has an application show what is broken. key is that of the process, whose replicas have
// these names. It is called before Start, and with ActBreak as Options.Act.
func AddBreak(a *App, key string, replicas []string) *Break {
	b := &Break{key: key, replicas: replicas}
	b.shown = lockstep.ShareWith(a.App, lockstep.SharedOptions[BreakState]{
		Kind:     state.Kind[BreakState]{Name: breakKind},
		Look:     b.look,
		ValidKey: func(key string) bool { return key == b.key },
	})
	lockstep.On(b.shown, breakLoose, b.loose)
	lockstep.On(b.shown, breakEnd, func(s BreakState, in struct{ N int }, c lockstep.Call) (BreakState, error) {
		s.Faults = slices.DeleteFunc(slices.Clone(s.Faults), func(f Fault) bool { return f.N == in.N })
		return s.next(c), nil
	})
	lockstep.On(b.shown, breakBurst, func(s BreakState, _ struct{}, c lockstep.Call) (BreakState, error) {
		if c.At.Before(s.BurstUntil) {
			return s, lockstep.Refused("there are clicks under way")
		}
		s.Bursts, s.BurstUntil = s.Bursts+1, c.At.Add(BurstTime)
		return s.next(c), nil
	})
	lockstep.On(b.shown, breakReport, func(s BreakState, in report, c lockstep.Call) (BreakState, error) {
		if err := json.Unmarshal([]byte(in.Text), &s.Report); err != nil {
			return s, err
		}
		s.Faults = slices.DeleteFunc(slices.Clone(s.Faults), func(f Fault) bool { return !c.At.Before(f.Until) })
		return s.next(c), nil
	})
	return b
}

// A report is what the program says, as JSON.
type report struct{ Text string }

// ActBreak is lockstep.Options.Act: nobody but the program says what the judge says.
func ActBreak(_ context.Context, _ lockstep.User, topic, action string) error {
	if strings.HasPrefix(topic, breakKind+":") && action == breakReport {
		return lockstep.ErrNotAllowed
	}
	return nil
}

func (s BreakState) next(c lockstep.Call) BreakState {
	s.Seq, s.At = s.Seq+1, c.At
	return s
}

// loose lets a fault loose. One replica always stays that can answer.
func (b *Break) loose(s BreakState, in struct {
	What    string
	Replica int
}, c lockstep.Call) (BreakState, error) {
	lasts := Lasts(in.What)
	if lasts == 0 || in.Replica < 0 || in.Replica >= len(b.replicas) {
		return s, lockstep.Refused("there is no such fault, or no such replica")
	}
	faults := slices.DeleteFunc(slices.Clone(s.Faults), func(f Fault) bool { return !c.At.Before(f.Until) })
	out := 1 // of the replicas that don't answer, with this one
	for _, f := range faults {
		if f.Replica == in.Replica {
			return s, lockstep.Refused("this replica has a fault already")
		}
		if f.silent() {
			out++
		}
	}
	if out >= len(b.replicas) && (Fault{What: in.What}).silent() {
		return s, lockstep.Refused("one replica has to stay that can answer")
	}
	s.Loosed++
	s.Faults = append(faults, Fault{N: s.Loosed, What: in.What, Replica: in.Replica, Until: c.At.Add(lasts)})
	return s.next(c), nil
}

// silent reports whether the replica does not answer.
func (f Fault) silent() bool { return f.What == Freeze || f.What == Kill }

// Room is what shows it.
func (b *Break) Room() lockstep.Room { return b.shown.At(b.key) }

// Watch calls f with what there is, and each newer one, until ctx ends.
func (b *Break) Watch(ctx context.Context, f func(BreakState)) {
	for s := range b.shown.Watch(ctx, b.key) {
		f(s)
	}
}

// Report shows what the judge says. The error is ctx's.
func (b *Break) Report(ctx context.Context, r pages.Report) error {
	text, _ := json.Marshal(r) // numbers can be
	return b.shown.Do(ctx, b.key, breakReport, report{string(text)}, lockstep.Doing{})
}

// look is how it looks.
func (b *Break) look(shown lockstep.Shown[BreakState]) (string, lockstep.Component) {
	s, room := shown.State, b.Room()
	form := func(do string, fields ...string) pages.Component { return room.Form(do, fields...) }
	p := pages.Breakage{Report: s.Report, Bursting: s.At.Before(s.BurstUntil), Form: form}
	for _, name := range b.replicas {
		p.Replicas = append(p.Replicas, pages.Breakable{Name: name})
	}
	for _, f := range s.Faults {
		if left := f.Until.Sub(s.At); left > 0 && f.Replica < len(p.Replicas) {
			p.Replicas[f.Replica] = pages.Breakable{Name: b.replicas[f.Replica], N: f.N, Fault: f.What, Left: int((left + time.Second - 1) / time.Second)}
		}
	}
	return "#" + room.ID(), pages.BreakView(p)
}
