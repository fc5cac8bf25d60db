package lockstep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lockstep/internal/pause"
	"lockstep/live"
	"lockstep/pubsub"
	"lockstep/state"
)

// ErrNoLog means that a topic has no log.
var ErrNoLog = errors.New("lockstep: the topic has no log")

// ErrFollowed means that as many logs are followed as may be at a time.
var ErrFollowed = errors.New("lockstep: too many logs are followed")

// How a log is followed.
const (
	// MaxPart is how many entries a part has at most, and maxPartBytes how long they are together,
	// unless the first is longer.
	MaxPart      = 256
	maxPartBytes = 64 << 10
	// maxFollowed is how many logs are followed at a time.
	maxFollowed = 1 << 12
	// followPause is the shortest time between two reads of a log, and followRefresh the longest:
	// a broadcast may be lost.
	followPause   = 25 * time.Millisecond
	followRefresh = 2 * time.Second
	// followIdle is how long a log is followed when nobody waits for it any more: a reader that
	// polls comes again.
	followIdle = 10 * time.Second
)

// A Place is one in a log: behind the entry N of the log as it is since an epoch. Epoch 0: whatever
// the epoch is.
type Place struct{ Epoch, N uint64 }

// A Part is entries of a log that follow each other.
type Part struct {
	Epoch uint64
	First uint64 // the number of the first entry; if there is none, of the next that comes
	// Raw are the entries, as state.ReadEntries reads them.
	Raw [][]byte
	// Gap means that entries between the place that was asked for and First are gone, or that the
	// place is not in the log: its store has lost data, and numbers have begun anew. Then the part
	// begins with the oldest entry that there is.
	Gap bool
	// End means that there were no more entries.
	End bool
}

// Next is the place behind the part.
func (p Part) Next() Place { return Place{p.Epoch, p.First + uint64(len(p.Raw)) - 1} }

// Logs returns the names of the kinds whose topics have a log, in their order.
func (a *App) Logs() (names []string) {
	for name, f := range a.families {
		if f.hasLog() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (f *family) hasLog() bool {
	_, is := state.EntriesOf(f.kind.reducer(), nil)
	return is
}

// Entries returns the entries of a topic's log behind a place, most at most, of 1 to MaxPart. If
// there are none it waits for one, at most so long. Readers that wait cost the store nothing
// more: a replica follows a log once for all of them. Errors are ErrNoTopic, ErrNoLog,
// ErrFollowed, live.ErrDraining, those of the store, and ctx's.
func (a *App) Entries(ctx context.Context, topic string, after Place, most int, wait time.Duration) (Part, error) {
	t, err := a.followers.follow(a, topic)
	if err != nil {
		return Part{}, err
	}
	defer a.followers.leave(t)
	if err := t.fresh(ctx); err != nil {
		return Part{}, err
	}
	limit := time.NewTimer(max(wait, 0))
	defer limit.Stop()
	for {
		now := t.now()
		part, err := t.part(ctx, now, after, min(max(most, 1), MaxPart))
		if err != nil || len(part.Raw) > 0 || part.Gap || now.over {
			return part, err
		}
		after = part.Next()
		select {
		case <-now.changed:
		case <-limit.C:
			return part, nil
		case <-ctx.Done():
			return Part{}, ctx.Err()
		}
	}
}

// EndOf returns the place behind the newest entry of a topic's log. Errors are those of Entries.
func (a *App) EndOf(ctx context.Context, topic string) (Place, error) {
	t, err := a.followers.follow(a, topic)
	if err != nil {
		return Place{}, err
	}
	defer a.followers.leave(t)
	if err := t.fresh(ctx); err != nil {
		return Place{}, err
	}
	now := t.now()
	return Place{now.epoch, now.last()}, nil
}

// followers are the logs that are followed for readers. Methods may be called concurrently.
type followers struct {
	base context.Context // ends with stop
	end  context.CancelFunc
	wg   sync.WaitGroup // Add only under mu while not stopped

	mu      sync.Mutex // guards the rest
	all     map[string]*followed
	serial  int
	stopped bool
}

func newFollowers() *followers {
	fs := &followers{all: make(map[string]*followed)}
	fs.base, fs.end = context.WithCancel(context.Background())
	return fs
}

// follow returns the followed log of a topic, which the caller leaves.
func (fs *followers) follow(a *App, topic string) (*followed, error) {
	f, key, ok := a.family(topic)
	switch {
	case !ok:
		return nil, ErrNoTopic
	case !f.hasLog():
		return nil, ErrNoLog
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stopped {
		return nil, live.ErrDraining
	}
	t := fs.all[topic]
	if t == nil {
		if len(fs.all) >= maxFollowed {
			return nil, ErrFollowed
		}
		fs.serial++
		t = newFollowed(a, f, f.topic(key), fmt.Sprintf("entries %d", fs.serial))
		fs.all[topic] = t
		fs.wg.Go(func() { t.run(fs.base) }) // ends with stop, or when nobody has read it for a while
	}
	t.readers++
	return t, nil
}

func (fs *followers) leave(t *followed) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if t.readers--; t.readers == 0 {
		t.left = time.Now()
	}
}

// drop forgets a log that nobody reads, and reports whether it did. While many are followed none
// is kept for nothing.
func (fs *followers) drop(t *followed) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if t.readers > 0 || len(fs.all) < maxFollowed/16 && time.Since(t.left) < followIdle {
		return false
	}
	delete(fs.all, t.topic)
	return true
}

// changed says that a topic may have new entries.
func (fs *followers) changed(topic string) {
	fs.mu.Lock()
	t := fs.all[topic]
	fs.mu.Unlock()
	if t != nil {
		t.poke()
	}
}

// stop ends all reading, and waits for the goroutines. Stopping twice is harmless.
func (fs *followers) stop() {
	fs.mu.Lock()
	fs.stopped = true
	fs.mu.Unlock()
	fs.end()
	fs.wg.Wait()
}

// A followed is the end of a topic's log, as its store has it.
type followed struct {
	// set once
	app     *App
	family  *family
	topic   string
	session string        // at the hub
	news    chan struct{} // of size 1: there may be new entries

	readers int       // guarded by followers.mu
	left    time.Time // guarded by followers.mu: when the last of them went

	mu    sync.Mutex // guards the rest
	tail  tail
	ended chan struct{} // closed when the next read that begins has ended
	err   error         // of the last read
}

// A tail is the newest entries of a log. It is never changed.
type tail struct {
	epoch   uint64
	first   uint64 // the number of the first of raw, or of the next entry
	raw     [][]byte
	changed chan struct{} // closed when there is a newer tail
	over    bool          // there is none any more
}

// last is the number of the newest entry.
func (t tail) last() uint64 { return t.first + uint64(len(t.raw)) - 1 }

func newFollowed(a *App, f *family, topic, session string) *followed {
	return &followed{
		app: a, family: f, topic: topic, session: session, news: make(chan struct{}, 1), ended: make(chan struct{}),
		tail: tail{first: 1, changed: make(chan struct{})},
	}
}

func (t *followed) poke() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

func (t *followed) now() tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tail
}

// fresh waits for a read that begins after the call, and returns its error.
func (t *followed) fresh(ctx context.Context) error {
	t.mu.Lock()
	ended := t.ended
	t.mu.Unlock()
	t.poke()
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// run reads the log when there may be something new.
func (t *followed) run(ctx context.Context) {
	defer t.finish(ctx)
	subscribed := false
	for {
		if !subscribed { // before it is read, so that nothing is missed
			subscribed = t.app.hub.SubscribeTopic(ctx, t.session, t.topic, func(context.Context, pubsub.Message) error {
				t.poke()
				return nil
			}) == nil
		}
		t.read(ctx)
		if !pause.For(ctx, followPause) || t.app.followers.drop(t) {
			return
		}
		again := time.NewTimer(followRefresh)
		select {
		case <-t.news:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

// finish tells the readers that are left, and the broker.
func (t *followed) finish(ctx context.Context) {
	t.publish(tail{over: true, epoch: t.tail.epoch, first: t.tail.first, raw: t.tail.raw})
	t.mu.Lock()
	t.err = live.ErrDraining
	close(t.ended)
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followRefresh)
	defer cancel()
	_ = t.app.hub.UnsubscribeAll(ctx, t.session) // a hub that is stopped has nothing of it
}

// publish has readers see a newer tail. Only the goroutine of t calls it.
func (t *followed) publish(newer tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	newer.changed = make(chan struct{})
	close(t.tail.changed)
	t.tail = newer
}

// read reads what is new, once for all that wait for that.
func (t *followed) read(ctx context.Context) {
	t.mu.Lock()
	ended := t.ended
	t.ended = make(chan struct{})
	t.mu.Unlock()
	err := t.readNew(ctx)
	t.mu.Lock()
	t.err = err
	t.mu.Unlock()
	close(ended)
}

// readNew reads what is new. The entries are read first: if the epoch is then as it was, they
// are of it.
func (t *followed) readNew(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("lockstep: panic while a log was read: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	for {
		now := t.tail // only this goroutine changes it
		first, raw, err := t.app.store.Entries(ctx, t.topic, now.last(), MaxPart)
		if err != nil {
			return err
		}
		epoch, n, err := t.end(ctx)
		if err != nil {
			return err
		}
		if epoch != now.epoch || n < now.last() {
			t.publish(tail{epoch: epoch, first: n + 1})
			return nil
		}
		if len(raw) == 0 {
			return nil
		}
		t.publish(now.with(first, raw))
		if len(raw) < MaxPart {
			return nil
		}
	}
}

// followTimeout bounds one read.
const followTimeout = 5 * time.Second

// end returns how many entries the log has had, and of which epoch that is.
func (t *followed) end(ctx context.Context) (epoch, n uint64, err error) {
	records, err := t.app.store.Read(ctx, t.topic)
	if err != nil {
		return 0, 0, err
	}
	if len(records) != 1 {
		return 0, 0, errors.New("lockstep: the store was asked for a record and returned none")
	}
	l := t.family.kind.read(records[0])
	if l.err != nil {
		return 0, 0, l.err
	}
	n, _ = state.EntriesOf(t.family.kind.reducer(), l.state)
	return records[0].Epoch, n, nil
}

// with returns the tail with more entries, and without the oldest if there are too many.
func (t tail) with(first uint64, raw [][]byte) tail {
	all := tail{epoch: t.epoch, first: first, raw: raw}
	if first == t.last()+1 {
		all.first, all.raw = t.first, slices.Concat(t.raw, raw)
	}
	size := 0
	for i := len(all.raw) - 1; i >= 0; i-- {
		if size += len(all.raw[i]); size > maxPartBytes || len(all.raw)-i > MaxPart {
			all.first, all.raw = all.first+uint64(i)+1, slices.Clone(all.raw[i+1:])
			break
		}
	}
	return all
}

// part returns entries behind a place, if there are any: from the tail, or from the store.
func (t *followed) part(ctx context.Context, now tail, after Place, most int) (Part, error) {
	p := Part{Epoch: now.epoch}
	if after.Epoch != 0 && after.Epoch != now.epoch || after.N > now.last() {
		p.Gap, after.N = true, 0
	}
	p.First = after.N + 1
	if p.First < now.first {
		first, raw, err := t.app.store.Entries(ctx, t.topic, after.N, most)
		if err != nil {
			return Part{}, err
		}
		epoch, _, err := t.end(ctx)
		if err != nil {
			return Part{}, err
		}
		if epoch != now.epoch {
			return Part{}, errMoved
		}
		p.First, p.Raw = first, raw
		p.Gap = p.Gap || first > after.N+1
		if len(raw) == 0 { // all before the tail have gone meanwhile
			p.First, p.Raw, p.Gap = now.first, now.raw, true
		}
	} else {
		p.Raw = now.raw[p.First-now.first:]
	}
	p.Raw = firstOf(p.Raw, most)
	p.End = p.Next().N >= now.last()
	return p, nil
}

// errMoved means that the store has lost data while a part was read: the next try says that.
var errMoved = errors.New("lockstep: the log has changed while it was read")

// firstOf returns the first entries, most at most and not too long.
func firstOf(raw [][]byte, most int) [][]byte {
	size := 0
	for i, e := range raw {
		if size += len(e); i == most || i > 0 && size > maxPartBytes {
			return raw[:i]
		}
	}
	return raw
}
