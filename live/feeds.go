package live

import (
	"errors"
	"sync"
	"time"

	"lockstep/htmx"
)

// FeedsOptions describe one kind of feed. Functions may be called concurrently for
// different keys, and are never called under a lock. One that panics fails for what it was
// called for; that is logged once in ten seconds and counted in Stats.Failures.
type FeedsOptions struct {
	// Topic names the feed of a key to the tabs: always by the same name, which is not
	// empty and no room's or other feed's.
	Topic func(key string) string
	// Next returns, as JSON, what has happened since it was called last; nil: nothing has.
	// It is called for one key by one goroutine at a time.
	Next func(key string) []byte
	// Whole returns, as JSON, what a tab needs that has just come. The next frames that the
	// tab is sent may be older than that: what is in them must say so.
	Whole func(key string) []byte

	// FrameInterval and PerTab are as in RoomsOptions.
	FrameInterval, PerTab time.Duration
}

// check returns what is wrong with the options, or nil.
func (o *FeedsOptions) check(rt *Runtime) error {
	switch {
	case rt == nil:
		return errors.New("NewFeeds needs a Runtime")
	case o.Topic == nil || o.Next == nil || o.Whole == nil:
		return errors.New("FeedsOptions needs Topic, Next and Whole")
	}
	return nonNegative(limit{"FeedsOptions.FrameInterval", o.FrameInterval}, limit{"FeedsOptions.PerTab", o.PerTab})
}

// Feeds are what tabs are shown that no store has: see package soft. Where a room's frame
// is a state, a feed's is what has changed, made once for all tabs. It may be lost: a tab
// that is slow is sent the newest frame and not those before it.
//
// There is a feed for each key that a tab shows. Methods may be called concurrently.
type Feeds struct {
	// set once
	opts FeedsOptions
	rt   *Runtime

	mu    sync.Mutex
	feeds map[string]*feed
}

// A feed is a room whose frames are changes.
type feed struct {
	room
	key  string
	tabs int // guarded by Feeds.mu
}

// NewFeeds makes the feeds of one kind. rt must have been started. It panics when the
// options can't work.
func NewFeeds(rt *Runtime, opts FeedsOptions) *Feeds {
	mustBe(opts.check(rt))
	setDefault(&opts.FrameInterval, rt.opts.FrameInterval)
	fs := &Feeds{opts: opts, rt: rt, feeds: make(map[string]*feed)}
	rt.addRooms(fs.plain)
	return fs
}

// plain returns all there are.
func (fs *Feeds) plain() (all []*room) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.feeds {
		all = append(all, &f.room)
	}
	return all
}

// Join shows the feed of key in the tab of s: first all there is, and from then on what
// changes, until leave is called, which the session's end does as well. Joining twice, and leaving
// twice, is harmless.
func (fs *Feeds) Join(s *Session, key string) (leave func(), err error) {
	f, err := fs.enter(key)
	if err != nil {
		return nil, err
	}
	m, ok := s.join(&f.room)
	if !ok {
		fs.leave(f)
		return func() {}, nil
	}
	f.add(m)
	if s.ended() {
		f.remove(m) // it may have left before add
	}
	leave = sync.OnceFunc(func() {
		s.quit(&f.room)
		fs.leave(f)
	})
	s.OnLeave(leave)
	// Frames that are made from now on are sent: all before are in the whole.
	var seq uint64
	if newest := f.frame.Load(); newest != nil {
		seq = newest.seq
	}
	var whole []byte
	if err := fs.rt.guard.Call("Whole", func() { whole = fs.opts.Whole(key) }); err == nil {
		s.push(&frame{message: htmx.Soft(f.topic, whole)})
	}
	s.releaseIn(&f.room, seq+1)
	return leave, nil
}

// Kick says that Next has something new for key. It does not block.
func (fs *Feeds) Kick(key string) {
	fs.mu.Lock()
	f := fs.feeds[key]
	fs.mu.Unlock()
	if f == nil {
		return
	}
	f.mu.Lock()
	f.accept()
	f.mu.Unlock()
}

// Len returns how many feeds are shown.
func (fs *Feeds) Len() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.feeds)
}

// enter returns the feed of a key, which has one tab more.
func (fs *Feeds) enter(key string) (*feed, error) {
	var topic string
	err := fs.rt.guard.Call("Topic", func() { topic = fs.opts.Topic(key) })
	if err == nil && topic == "" {
		err = fs.rt.guard.Broken("Topic", "returned nothing")
	}
	if err != nil {
		return nil, err
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.feeds[key]
	if f == nil {
		if !fs.rt.claimTopic(topic) {
			return nil, errors.New("live: a feed has the topic of another room")
		}
		f = fs.newFeed(key, topic)
		fs.feeds[key] = f
	}
	f.tabs++
	return f, nil
}

// leave takes a tab out, and ends a feed that nobody is shown.
func (fs *Feeds) leave(f *feed) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.tabs--; f.tabs == 0 {
		delete(fs.feeds, f.key)
		fs.rt.releaseTopic(f.topic)
	}
}

func (fs *Feeds) newFeed(key, topic string) *feed {
	f := &feed{key: key}
	f.rt, f.topic = fs.rt, topic
	f.interval, f.perTab = fs.opts.FrameInterval, fs.opts.PerTab
	f.shards = make([]shard, len(fs.rt.writers))
	f.renderState = func() (*frame, error) { return fs.render(f) }
	return f
}

// render returns the next frame.
func (fs *Feeds) render(f *feed) (*frame, error) {
	f.mu.Lock()
	seq := f.seq
	f.mu.Unlock()
	return &frame{seq: seq, message: htmx.Soft(f.topic, fs.opts.Next(f.key))}, nil
}
