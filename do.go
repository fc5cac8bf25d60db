package lockstep

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"iter"
	"sync"
	"time"

	"lockstep/htmx"
	"lockstep/internal/pause"
	"lockstep/live"
	"lockstep/state"
)

// ErrOld means that nobody knows any more whether something was done: it was sent again after a
// time that is longer than Options.OpLifetime.
var ErrOld = errors.New("lockstep: nobody knows any more whether this was done before")

// doRetry is the pause before what could not be saved is sent again.
const doRetry = 200 * time.Millisecond

// A Doing says how Do has an action done. The zero value is a new one, by nobody in particular.
type Doing struct {
	// Key makes it one: what has been done with a key on a topic is not done again with it, by any
	// process, for as long as Options.OpLifetime. It is any text, the id of a webhook's event for
	// example. "": it is done once for this call.
	Key string
	// User is on whose behalf it is done. Options.Act is not asked.
	User User
}

// Do has an action done on the topic of a key from outside of a page: by a job, a webhook, a
// command. in is a struct as the action's, or Fields, or nil. It waits until the store has it, and
// tries again while it is away, until ctx ends. The error is a Refused when the action has refused
// it, ErrOld, ErrNotStarted, or ctx's: then it is unknown whether it is done, and with the same Key
// it can be asked again.
func (sh *Shared[S]) Do(ctx context.Context, key, action string, in any, how Doing) error {
	return sh.app.do(ctx, sh.Topic(key), action, in, how)
}

// Do has an action done; see Shared.Do.
func (l *List[T]) Do(ctx context.Context, key, action string, in any, how Doing) error {
	return l.app.do(ctx, l.Topic(key), action, in, how)
}

// Do has an action done; see Shared.Do. For many entries, one after the other, see Produce.
func (l *Log[M]) Do(ctx context.Context, key, action string, in any, how Doing) error {
	return l.app.do(ctx, l.Topic(key), action, in, how)
}

// Produce returns what appends entries to the log of a key, many a second, each once though the
// program may be killed: see state.Producer. client is its identity, which nobody else uses there.
func (l *Log[M]) Produce(key string, client state.Client, opts *state.ProducerOptions) (*state.Producer, error) {
	return l.app.Producer(l.Topic(key), client, opts)
}

func (a *App) do(ctx context.Context, topic, action string, in any, how Doing) error {
	if a.batcher == nil {
		return ErrNotStarted
	}
	if _, _, ok := a.family(topic); !ok {
		return ErrNoTopic
	}
	fields, err := state.FieldsOf(in)
	if err != nil {
		return err
	}
	op := state.Op{
		Client: how.client(topic), Seq: 1, From: 1, Do: action, In: fields, User: how.User.ID, UserName: how.User.Name,
	}
	for {
		answer, err := a.batcher.Apply(ctx, nil, topic, op)
		if err != nil {
			return err
		}
		a.acted(topic, how.User, action, answer)
		switch answer.Verdict {
		case state.Ack, state.Settled:
			return nil
		case state.Refused:
			return Refused(answer.Reason)
		case state.Old:
			return ErrOld
		}
		if !pause.For(ctx, doRetry) {
			return ctx.Err()
		}
	}
}

// client is the client of what is done: of its key, or one that nobody else has.
func (how Doing) client(topic string) (c state.Client) {
	if how.Key == "" {
		_, _ = rand.Read(c[:]) // never fails (crypto/rand)
		return c
	}
	sum := sha256.Sum256([]byte("do\x00" + topic + "\x00" + how.Key))
	copy(c[:], sum[:])
	return c
}

// Watch returns the state of a key, and each newer one, until ctx ends or the application stops:
// the newest, and not every step. A state that is not known yet is left out. To stop watching, the
// loop is left.
//
//	for hits := range hits.Watch(ctx, "lobby") { … }
func (sh *Shared[S]) Watch(ctx context.Context, key string) iter.Seq[S] {
	return func(yield func(S) bool) {
		for l := range sh.app.watch(ctx, sh.family, key) {
			if s := sh.kind.typed(key, l); s.Known && !yield(s.State) {
				return
			}
		}
	}
}

// Watch returns the list of a key, and each newer one; see Shared.Watch.
func (l *List[T]) Watch(ctx context.Context, key string) iter.Seq[state.List[T]] {
	return func(yield func(state.List[T]) bool) {
		for got := range l.app.watch(ctx, l.family, key) {
			if s := l.kind.typed(key, got); s.Known && !yield(s.State) {
				return
			}
		}
	}
}

// watch returns the states that a room shows.
func (a *App) watch(ctx context.Context, f *family, key string) iter.Seq[loaded] {
	return func(yield func(loaded) bool) {
		if f.rooms == nil || !f.validKey(key) {
			return
		}
		w := &watcher{app: a, family: f, key: key, news: make(chan struct{}, 1), over: make(chan struct{})}
		s, err := a.rt.Connect(ctx, w, w)
		if err != nil {
			return
		}
		defer s.Disconnect(live.ReasonAnswered)
		var shown loaded
		for first := true; ; {
			l, known := f.rooms.Known(key)
			if known && (first || shown.Epoch != l.Epoch || shown.Version != l.Version) {
				if shown, first = l, false; !yield(l) {
					return
				}
			}
			select {
			case <-w.news:
			case <-w.over:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// A watcher is a tab that shows one room to a program: the view, and the connection.
type watcher struct {
	app    *App
	family *family
	key    string
	news   chan struct{} // of size 1: something may be new
	over   chan struct{} // closed when the connection is to end
	once   sync.Once
}

// Mount implements live.View.
func (w *watcher) Mount(ctx context.Context, s *live.Session) error {
	return w.family.join(ctx, s, w.key)
}

// Passing implements live.Passing: a program is no tab.
func (w *watcher) Passing() bool { return true }

// HandleEvent implements live.View. Nothing comes.
func (w *watcher) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

// Bind implements live.Conn.
func (w *watcher) Bind(*live.Session) {}

// Wire implements live.Conn.
func (w *watcher) Wire() *live.Wire { return w.app.watching }

// Send implements live.Conn.
func (w *watcher) Send([]byte) (done bool) {
	select {
	case w.news <- struct{}{}:
	default:
	}
	return true
}

// Close implements live.Conn.
func (w *watcher) Close(live.Reason) { w.once.Do(func() { close(w.over) }) }
