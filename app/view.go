package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// ErrNoTopic means that there is no such topic: its kind is unknown, or its key
// can't be one.
var ErrNoTopic = errors.New("app: there is no such topic")

// ErrTooMany is why an op is to be sent again when its visitor has done as much as it
// may for now.
var ErrTooMany = errors.New("app: the visitor has done as much as it may for now")

// A Visitor is who a tab, or a form, is of.
type Visitor struct {
	Sender state.Sender // nil: nobody in particular
	User   string       // as actions know them; it may be shown to everybody
	// Granted reports whether a page of the visitor was given a topic, as a grant
	// says that it has carried with it. Nil: none was.
	Granted func(topic, grant string) bool
	// Allow reports whether the visitor may do one more op, and counts it if so. Nil:
	// it may.
	Allow func() bool
}

func (v *Visitor) allowed() bool { return v.Allow == nil || v.Allow() }

// View is the view of a page that shows the rooms of topics. The error is
// ErrNoTopic.
func (a *App) View(v Visitor, topics ...string) (live.View, error) {
	for _, topic := range topics {
		if _, _, ok := a.family(topic); !ok && !isBoard(topic) {
			return nil, ErrNoTopic
		}
	}
	return &view{app: a, visitor: v, topics: topics}, nil
}

// A view is that of one tab.
type view struct {
	app     *App
	visitor Visitor
	topics  []string
	seats   []*seat // at those that are boards

	checks checkPace // owned by HandleEvent
}

// Mount implements live.View.
func (v *view) Mount(ctx context.Context, s *live.Session) error {
	for _, topic := range v.topics {
		if err := v.join(ctx, s, topic); err != nil {
			return err
		}
		if err := v.app.tabs.Join(ctx, s, topic); err != nil {
			return err
		}
	}
	v.app.arrive(s, v.topics)
	return nil
}

// join shows a topic in the tab.
func (v *view) join(ctx context.Context, s *live.Session, topic string) error {
	if isBoard(topic) {
		seat, err := v.app.sit(s, topic, v.visitor)
		v.seats = append(v.seats, seat)
		return err
	}
	f, key, _ := v.app.family(topic)
	return f.join(ctx, s, key)
}

// HandleEvent implements live.View: it has an op applied, and answers it when the
// store has dealt with it.
func (v *view) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	switch e.Kind {
	case htmx.OpEvent:
		v.handleOp(s, e)
	case htmx.FinEvent:
		// It is a write of the store, as an op is.
		client, err := state.ParseClient(e.Op.Client)
		if err == nil && HasState(e.Op.Topic) && v.mayUse(e) && v.visitor.allowed() {
			v.app.batcher.Finish(e.Op.Topic, client, e.Op.Seq)
		}
	case htmx.CastEvent:
		for _, seat := range v.seats {
			if seat.topic == e.Op.Topic {
				seat.cast(e)
			}
		}
		v.check(s, e)
	}
	return nil
}

// mayUse reports whether a page of the tab's person was given the topic of an
// event.
func (v *view) mayUse(e htmx.Event) bool {
	for _, topic := range v.topics {
		if topic == e.Op.Topic {
			return true
		}
	}
	return v.visitor.Granted != nil && v.visitor.Granted(e.Op.Topic, e.Grant)
}

// Reasons of refusals, as the person at the tab reads them.
const (
	reasonNotYours = "this page may not do that here"
	reasonBadInput = "the input can't be read"
)

func (v *view) handleOp(s *live.Session, e htmx.Event) {
	f, key, ok := v.app.family(e.Op.Topic)
	if !ok || !v.mayUse(e) {
		s.Refuse(e.Op, reasonNotYours, false)
		return
	}
	op, reason := readOp(e, v.visitor.User)
	if reason != "" {
		s.Refuse(e.Op, reason, false)
		return
	}
	if !v.visitor.allowed() {
		s.Refuse(e.Op, state.ReasonOverload, true)
		return
	}
	s.BeginOp()
	v.app.batcher.Submit(v.visitor.Sender, e.Op.Topic, op, func(a state.Answer) {
		defer s.EndOp()
		switch a.Verdict {
		case state.Ack:
			f.ack(s, key, e.Op)
		case state.Refused:
			s.Refuse(e.Op, a.Reason, false)
		case state.Settled:
			s.Settle(e.Op)
		case state.Old:
			s.Forget(e.Op)
		case state.Retry:
			s.Refuse(e.Op, a.Reason, true)
		}
	})
}

// readOp returns the op of an event, or why it can't be one.
func readOp(e htmx.Event, user string) (op state.Op, reason string) {
	client, err := state.ParseClient(e.Op.Client)
	if err != nil {
		return op, state.ReasonBadOp
	}
	op = state.Op{
		Client: client, Seq: e.Op.Seq, From: e.From, Seen: time.UnixMilli(max(e.Seen, 0)), Age: e.Age, Do: e.Do, User: user,
	}
	if len(e.In) > 0 && json.Unmarshal(e.In, &op.In) != nil {
		return op, reasonBadInput
	}
	return op, ""
}

// Do has an op applied that did not come by a tab, and waits for the store. The
// error is ErrNoTopic, or ctx's: then it is unknown whether the op is applied.
func (a *App) Do(ctx context.Context, v Visitor, topic string, op state.Op) (state.Answer, error) {
	if _, _, ok := a.family(topic); !ok {
		return state.Answer{}, ErrNoTopic
	}
	if !v.allowed() {
		return state.Answer{Reason: state.ReasonOverload, Err: ErrTooMany}, nil
	}
	op.User = v.User
	return a.batcher.Apply(ctx, v.Sender, topic, op)
}

// A Render is what a tab that renders itself shows of a topic: the state that it was
// sent, and the effect of its own ops that wait for an answer. It is what the
// server would show, made by the same component; what it makes never leaves the
// tab. user is whose the tab is. Behind the record there may be changes, as
// live.RoomsOptions.Change makes them, each in a line: what it shows is what they
// lead to.
type Render = func(topic string, record []byte, waiting []htmx.Event, user string) (target string, c live.Component, err error)

// NewRender returns a Render, which may be called concurrently.
func NewRender() Render {
	all, known := families(), new(folded)
	return func(topic string, record []byte, waiting []htmx.Event, user string) (string, live.Component, error) {
		return render(all, known, topic, record, waiting, user)
	}
}

func render(all map[string]*family, known *folded, topic string, record []byte, waiting []htmx.Event, user string) (target string, c live.Component, err error) {
	f, key, ok := familyOf(all, topic)
	if !ok {
		return "", nil, ErrNoTopic
	}
	l, err := known.fold(f, topic, record)
	if err != nil {
		return "", nil, err
	}
	var ops []state.Op
	for _, e := range waiting {
		if op, reason := readOp(e, user); reason == "" && e.Kind == htmx.OpEvent && e.Op.Topic == topic {
			ops = append(ops, op)
		}
	}
	return f.render(key, l, ops)
}
