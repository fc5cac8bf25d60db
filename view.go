package lockstep

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// ErrNoTopic means that there is no such topic: its kind is unknown, or its key
// can't be one.
var ErrNoTopic = errors.New("lockstep: there is no such topic")

// ErrTooMany is why an op is to be sent again when its visitor has done as much as it
// may for now.
var ErrTooMany = errors.New("lockstep: the visitor has done as much as it may for now")

// A Visitor is who a tab, or a form, is of.
type Visitor struct {
	Sender state.Sender // nil: nobody in particular
	User   string       // as actions know them; it may be shown to everybody
	// UserName is what people call them; "": nothing.
	UserName string
	// Granted reports whether a page of the visitor was given a topic, as a grant
	// says that it has carried with it. Nil: none was.
	Granted func(topic, grant string) bool
	// Rooms returns the topics of another page of the visitor, by the address of its socket; false: it
	// is none of theirs. Nil: the tab's page shows the same rooms for ever.
	Rooms func(socket string) (topics []string, ok bool)
	// Allow reports whether the visitor may do one more op, and counts it if so. Nil:
	// it may.
	Allow func() bool
}

func (v *Visitor) allowed() bool { return v.Allow == nil || v.Allow() }

// user is the visitor, as Options.See and Act know them.
func (v *Visitor) user() User { return User{ID: v.User, Name: v.UserName} }

// View is the view of a page that shows the rooms of topics. The error is
// ErrNoTopic.
func (a *App) View(v Visitor, topics ...string) (live.View, error) {
	if err := a.haveTopics(topics); err != nil {
		return nil, err
	}
	return &view{app: a, visitor: v, topics: topics, left: make(map[string]func())}, nil
}

func (a *App) haveTopics(topics []string) error {
	for _, topic := range topics {
		if !a.HasTopic(topic) {
			return ErrNoTopic
		}
	}
	return nil
}

// A view is that of one tab. Its session calls it, one call at a time; what else reads it holds mu.
type view struct {
	app     *App
	visitor Visitor

	checks checkPace // owned by HandleEvent

	mu      sync.Mutex // guards the rest
	session *live.Session
	topics  []string          // that its page shows
	seats   []*seat           // at those of what is shown for a moment
	left    map[string]func() // what is to be done when a topic is left
}

// Mount implements live.View.
func (v *view) Mount(ctx context.Context, s *live.Session) error {
	v.mu.Lock()
	v.session = s
	topics := v.topics
	v.mu.Unlock()
	v.app.connected(v)
	s.OnLeave(func() { v.app.gone(v); v.leaveAll() })
	for _, topic := range topics {
		if err := v.join(ctx, topic); err != nil {
			return err
		}
	}
	if v.app.opts.Rebalance > 0 && s.Movable() && !s.Passing() {
		v.app.presence.Enter(movableTopic)
		s.OnLeave(func() { v.app.presence.Leave(movableTopic) })
	}
	return nil
}

// join shows a topic in the tab, if its person may see it; else it says why not.
func (v *view) join(ctx context.Context, topic string) error {
	s := v.session
	if err := v.app.maySee(ctx, v.visitor.user(), topic); err != nil {
		_ = s.Show(live.Part{Target: "#" + roomID(topic), Component: refused(err)}) // a text can be shown
		return nil
	}
	leave, err := v.enter(ctx, s, topic)
	if err != nil {
		return err
	}
	leaveAround, err := v.enterAround(ctx, s, topic)
	if err != nil {
		leave()
		return err
	}
	if !s.Passing() { // one request of a tab is not counted: the tab's stream is
		v.app.presence.Enter(topic)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.left[topic] = func() {
		leave()
		leaveAround()
		if !s.Passing() {
			v.app.presence.Leave(topic)
		}
	}
	return nil
}

// enterAround shows in the tab what is around a topic, and returns how to leave it.
func (v *view) enterAround(ctx context.Context, s *live.Session, topic string) (leave func(), err error) {
	a := v.app
	if !a.isAround(topic) {
		return func() {}, nil
	}
	if a.tabs == nil {
		return a.beside.enter(ctx, s, topic, v.visitor)
	}
	if err := a.tabs.Join(ctx, s, topic); err != nil {
		return nil, err
	}
	out, err := a.beside.enter(ctx, s, topic, v.visitor)
	if err != nil {
		a.tabs.Leave(s, topic)
		return nil, err
	}
	return func() { out(); a.tabs.Leave(s, topic) }, nil
}

// enter joins the room of a topic, and returns how to leave it.
func (v *view) enter(ctx context.Context, s *live.Session, topic string) (leave func(), err error) {
	if b := v.app.board(topic); b != nil {
		seat, err := b.sit(ctx, s, topic, v.visitor)
		if err != nil {
			return nil, err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.seats = append(v.seats, seat)
		return func() { v.rise(seat) }, nil
	}
	f, key, _ := v.app.family(topic)
	return func() { f.rooms.Leave(s, key) }, f.join(ctx, s, key)
}

// rise takes the tab out of a seat.
func (v *view) rise(st *seat) {
	v.mu.Lock()
	v.seats = slices.DeleteFunc(v.seats, func(other *seat) bool { return other == st })
	v.mu.Unlock()
	st.leave()
	st.out()
}

// leave has the tab shown nothing more of a topic.
func (v *view) leave(topic string) {
	v.mu.Lock()
	f := v.left[topic]
	delete(v.left, topic)
	v.mu.Unlock()
	if f != nil {
		f()
	}
}

func (v *view) leaveAll() {
	v.mu.Lock()
	topics := slices.Collect(maps.Keys(v.left))
	v.mu.Unlock()
	for _, topic := range topics {
		v.leave(topic)
	}
}

// shows returns the topics that the tab's page shows.
func (v *view) shows() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.topics
}

// HandleEvent implements live.View: it has an op applied, and answers it when the
// store has dealt with it.
func (v *view) HandleEvent(ctx context.Context, s *live.Session, e htmx.Event) error {
	switch e.Kind {
	case htmx.OpEvent:
		v.handleOp(ctx, s, e)
	case htmx.FinEvent:
		// It is a write of the store, as an op is.
		client, err := state.ParseClient(e.Op.Client)
		if err == nil && v.app.HasState(e.Op.Topic) && v.mayUse(e) && v.visitor.allowed() {
			v.app.batcher.Finish(e.Op.Topic, client, e.Op.Seq)
		}
	case htmx.CastEvent:
		v.handleCast(ctx, s, e)
	case htmx.RoomsEvent:
		return v.show(ctx, e.Rooms)
	}
	return nil
}

// show has the tab show the rooms of another page. What it may not see it is not shown: pages of
// others can't be, and an address that is none changes nothing.
func (v *view) show(ctx context.Context, socket string) error {
	if v.visitor.Rooms == nil {
		return nil
	}
	topics, ok := v.visitor.Rooms(socket)
	if !ok || v.app.haveTopics(topics) != nil {
		v.session.Complain("this page is too old; reload it")
		return nil
	}
	v.mu.Lock()
	before := v.topics
	v.topics = topics
	v.mu.Unlock()
	for _, topic := range before {
		if !slices.Contains(topics, topic) {
			v.leave(topic)
		}
	}
	for _, topic := range topics {
		if slices.Contains(before, topic) {
			continue
		}
		if err := v.join(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) handleCast(ctx context.Context, s *live.Session, e htmx.Event) {
	v.mu.Lock()
	i := slices.IndexFunc(v.seats, func(st *seat) bool { return st.topic == e.Op.Topic })
	var st *seat
	if i >= 0 {
		st = v.seats[i]
	}
	v.mu.Unlock()
	if e.Do == htmx.XRayCast {
		v.look(s, e)
		return
	}
	if st != nil && v.app.mayAct(ctx, v.visitor.user(), e.Op.Topic, e.Do) == nil {
		st.cast(e, v.app.rt.Clock())
	}
	v.check(s, e)
}

// mayUse reports whether a page of the tab's person was given the topic of an
// event.
func (v *view) mayUse(e htmx.Event) bool {
	return slices.Contains(v.shows(), e.Op.Topic) || v.visitor.Granted != nil && v.visitor.Granted(e.Op.Topic, e.Grant)
}

// Reasons of refusals, as the person at the tab reads them.
const (
	reasonNotYours = "this page may not do that here"
	reasonBadInput = "the input can't be read"
)

func (v *view) handleOp(ctx context.Context, s *live.Session, e htmx.Event) {
	f, key, ok := v.app.family(e.Op.Topic)
	if !ok || !v.mayUse(e) {
		s.Refuse(e.Op, reasonNotYours, false)
		return
	}
	op, reason := readOp(e, v.visitor.user())
	if reason != "" {
		s.Refuse(e.Op, reason, false)
		return
	}
	if err := v.app.mayAct(ctx, v.visitor.user(), e.Op.Topic, e.Do); err != nil {
		s.Refuse(e.Op, err.Error(), errors.Is(err, errUndecided))
		return
	}
	if !v.visitor.allowed() {
		s.Refuse(e.Op, state.ReasonOverload, true)
		return
	}
	ended := v.follow(s, e, &op)
	s.BeginOp()
	v.app.batcher.Submit(v.visitor.Sender, e.Op.Topic, op, func(a state.Answer) {
		defer s.EndOp()
		ended(a)
		switch a.Verdict {
		case state.Ack:
			v.app.acted(e.Op.Topic, v.visitor.user(), e.Do, a)
			f.ack(s, key, htmx.Applied{Op: e.Op, Epoch: a.Epoch, Version: a.Version})
			s.Tell(commandsOf(a.Told)...)
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
func readOp(e htmx.Event, u User) (op state.Op, reason string) {
	client, err := state.ParseClient(e.Op.Client)
	if err != nil {
		return op, state.ReasonBadOp
	}
	op = state.Op{
		Client: client, Seq: e.Op.Seq, From: e.From, Seen: time.UnixMilli(max(e.Seen, 0)), Age: e.Age, Do: e.Do,
		User: u.ID, UserName: u.Name,
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
	if err := a.mayAct(ctx, v.user(), topic, op.Do); err != nil {
		if errors.Is(err, errUndecided) {
			return state.Answer{Reason: err.Error(), Err: err}, nil
		}
		return state.Answer{Verdict: state.Refused, Reason: err.Error()}, nil
	}
	if !v.allowed() {
		return state.Answer{Reason: state.ReasonOverload, Err: ErrTooMany}, nil
	}
	op.User, op.UserName = v.User, v.UserName
	answer, err := a.batcher.Apply(ctx, v.Sender, topic, op)
	a.acted(topic, v.user(), op.Do, answer)
	return answer, err
}

// A Render is what a tab that renders itself shows of a topic: the state that it was
// sent, and the effect of its own ops that wait for an answer. It is what the
// server would show, made by the same component; what it makes never leaves the
// tab. user is whose the tab is. Behind the record there may be changes, as
// live.RoomsOptions.Change makes them, each in a line: what it shows is what they
// lead to.
type Render = func(topic string, record []byte, waiting []htmx.Event, user string) (target string, c live.Component, err error)

// Render is a Render of the application's kinds. It may be called concurrently, and of an
// application that was not started, and has no broker and no store.
func (a *App) Render(topic string, record []byte, waiting []htmx.Event, user string) (target string, c live.Component, err error) {
	f, key, ok := a.family(topic)
	if !ok {
		return "", nil, ErrNoTopic
	}
	l, err := a.known.fold(f, topic, record)
	if err != nil {
		return "", nil, err
	}
	var ops []state.Op
	for _, e := range waiting {
		if op, reason := readOp(e, User{ID: user}); reason == "" && e.Kind == htmx.OpEvent && e.Op.Topic == topic {
			ops = append(ops, op)
		}
	}
	return f.render(key, l, ops)
}
