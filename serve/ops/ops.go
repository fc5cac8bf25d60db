// Package ops is a page that shows how the replicas of an application are: their tabs, clicks and
// deliveries, what broker, store and machine have to do, which topics are hot and which tabs slow,
// and what has happened. It is made of what it shows: a room of package lockstep, and components.
//
//	mux.Handle("/ops", ops.New(app, nil).Handler(server)) // before the application starts
//
// It is no store of metrics: it has the last fifteen minutes, in memory. Prometheus asks the admin
// address for the rest.
//
// # What it costs
//
// While nobody looks, a replica takes its own numbers every ten seconds, and says nothing. While
// somebody looks, at whichever replica, each says its numbers once a second, in one broadcast of
// about 1 KB, and remembers what it hears: 64 replicas at most, of each the last minute and, in
// steps of ten seconds, the last fifteen minutes: about 8 KB.
package ops

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/serve"
)

// DefaultPath is where the page is.
const DefaultPath = "/ops"

// Options of New. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// Path is where the page is mounted, below the base path: "/ops". Default DefaultPath.
	Path string
	// Version of the program, which the page shows. "": it shows none.
	Version string
	// Token lets in who has it, as the password of HTTP's Basic authentication, with any name. It
	// must be equal on all replicas, and should be of 16 random bytes or more. Then nobody comes
	// without.
	Token string
	// Allow is the application's own check, which takes the place of Token: nil lets a request in;
	// a *serve.Problem or a serve.Redirect is the answer, and so is another error, with status 403.
	// It is asked for each page and each order, and may be called concurrently. Without Allow and
	// Token the page is for this machine alone: see serve.Local.
	Allow func(r *http.Request) error
	// Drain sends all tabs of this replica away, for good, when somebody has asked for that. Nil:
	// lockstep.App.Drain, within ten seconds.
	Drain func(ctx context.Context) error
}

// An Ops is the page of one replica. Its methods may be called concurrently.
type Ops struct {
	// set once
	app   *lockstep.App
	opts  Options
	kind  *lockstep.Soft[said]
	past  *lockstep.Soft[said] // of pastKey alone
	id    string               // of this replica
	began time.Time            // of its clock
	kick  chan struct{}        // of size 1: run has something to do
	tasks chan order           // that others have sent

	server atomic.Pointer[serve.Server] // nil until Handler

	heard *heard

	mu    sync.Mutex // guards the rest
	keys  map[string]*looked
	looks map[string]*glance
}

// What the topics of the page begin with: rows change each second, and lines every ten.
const (
	kindName = "ops"
	pastName = "opspast"
)

// New has an application share how its replicas are. It is called before the application starts.
func New(a *lockstep.App, opts *Options) *Ops {
	o := &Ops{
		app: a, id: strconv.FormatUint(rand.Uint64(), 36), began: time.Now(), kick: make(chan struct{}, 1), tasks: make(chan order, 16),
		heard: newHeard(), keys: make(map[string]*looked), looks: make(map[string]*glance),
	}
	if opts != nil {
		o.opts = *opts
	}
	o.opts.Path = cmp.Or(o.opts.Path, DefaultPath)
	if o.opts.Logger == nil {
		o.opts.Logger = slog.Default()
	}
	if o.opts.Drain == nil {
		o.opts.Drain = func(ctx context.Context) error { return a.Drain(ctx, 10*time.Second) }
	}
	o.kind = lockstep.PresentWith(a, lockstep.SoftOptions[said]{
		Name: kindName, TTL: ttl, Look: o.look, Interval: every / 2, PerTab: time.Millisecond, MaxValue: maxValue,
		Watched: o.watched, ValidKey: validKey,
	})
	o.past = lockstep.PresentWith(a, lockstep.SoftOptions[said]{
		Name: pastName, TTL: 3 * step, Look: o.lookBack, Interval: every, PerTab: time.Millisecond, MaxValue: maxValue,
		Watched: o.watched, ValidKey: func(key string) bool { return key == pastKey },
	})
	a.Background(o.run)
	return o
}

// kindOf returns the kind of a key.
func (o *Ops) kindOf(key string) *lockstep.Soft[said] {
	if key == pastKey {
		return o.past
	}
	return o.kind
}

const (
	every = time.Second // between two rows of a replica, while somebody looks
	step  = 10 * time.Second
	ttl   = 4 * time.Second
	// maxValue is how many bytes replicas say at a time.
	maxValue = 1900
	// maxKeys is how many different pages may be looked at.
	maxKeys = 256
	// glanceFor is how long somebody is taken to look who has asked for a page: until a tab may
	// have come.
	glanceFor = 8 * time.Second
)

// Keys of topics. A page has two rooms at most.
const (
	allKey     = "all"      // rows of all replicas
	pastKey    = "past"     // lines and events of all
	filterKey  = "named-"   // rows of replicas whose name has the rest in it
	replicaKey = "replica-" // the row of one replica, by its id
	topicKey   = "topic-"   // what each replica has of a topic
	tabKey     = "tab-"     // a tab, by the id of its replica, a dot, and its number
)

// maxName is how many bytes of a name or topic a key may have.
const maxName = 200

func validKey(key string) bool {
	if key == allKey {
		return true
	}
	for _, prefix := range []string{filterKey, replicaKey, topicKey, tabKey} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			return rest != "" && len(rest) <= maxName
		}
	}
	return false
}

// A looked is a key that somebody looks at, on some replica.
type looked struct {
	leave func()
	stop  func() // of counting a tab; nil: it is none of this replica
	said  int64  // of pastKey: when that was which was said last, in ms since 1970
}

// A glance is a page that somebody has asked for.
type glance struct {
	until time.Time
	end   func()
}

// watched takes note of how many tabs show a key.
func (o *Ops) watched(key string, tabs int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one := o.keys[key]
	switch {
	case tabs == 0 && one != nil:
		one.leave()
		if one.stop != nil {
			one.stop()
		}
		delete(o.keys, key)
	case tabs > 0 && one == nil && len(o.keys) < maxKeys:
		o.keys[key] = &looked{leave: o.kindOf(key).Watch(key)}
		o.wake()
	}
}

func (o *Ops) wake() {
	select {
	case o.kick <- struct{}{}:
	default: // it is awake
	}
}

// glanceAt has the replicas say what a page needs that is being made. It reports whether they had
// not been asked before.
func (o *Ops) glanceAt(keys ...string) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		g := o.looks[key]
		if g == nil && len(o.looks) >= maxKeys {
			continue
		}
		if g == nil {
			g = &glance{end: o.kindOf(key).Look(key)}
			o.looks[key] = g
		}
		g.until = time.Now().Add(glanceFor)
		if o.keys[key] == nil {
			first = true
		}
	}
	return first
}

// sweep ends glances that are over.
func (o *Ops) sweep(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, g := range o.looks {
		if now.After(g.until) {
			g.end()
			delete(o.looks, key)
		}
	}
}

// run takes this replica's numbers, and says them while somebody looks, until ctx ends.
func (o *Ops) run(ctx context.Context) {
	own := newOwn(o)
	var doing sync.WaitGroup
	defer doing.Wait()
	o.listen(ctx)
	defer o.leaveAll()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-o.tasks:
			doing.Go(func() { o.do(ctx, t, own) }) // ends with ctx
			continue
		case <-o.kick:
		case <-timer.C:
		}
		now := time.Now()
		o.sweep(now)
		own.sample(now)
		wait := time.Until(own.due)
		if keys := o.lookedAt(); len(keys) > 0 {
			o.say(own, keys, now)
			o.hear(keys, now)
			wait = min(wait, every)
		} else {
			o.heard.rest()
		}
		timer.Reset(max(wait, time.Millisecond))
	}
}

// lookedAt returns the keys that somebody looks at.
func (o *Ops) lookedAt() (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.keys {
		all = append(all, key)
	}
	return all
}

// leaveAll ends all that the page has of the application.
func (o *Ops) leaveAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, one := range o.keys {
		one.leave()
		if one.stop != nil {
			one.stop()
		}
		delete(o.keys, key)
	}
	for key, g := range o.looks {
		g.end()
		delete(o.looks, key)
	}
}

// hear takes in what all replicas say.
func (o *Ops) hear(keys []string, now time.Time) {
	for _, key := range keys {
		for _, v := range o.kindOf(key).Values(key) {
			o.heard.take(v, now)
		}
		o.heard.keep(key, o.kindOf(key).Values(key), now)
	}
	o.heard.judge(now)
}
