package app

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lockstep/components"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/soft"
)

// softKind is what the topics of boards begin with: what people see of each other there is
// no state of any kind.
const softKind = "soft"

// Board is the topic of the board that other pages lead to.
const Board = softKind + ":lobby"

// HasState reports whether there is a state of a topic: of boards there is none.
func HasState(topic string) bool { return !isBoard(topic) }

// A Spot is what somebody does at a board, as everybody there sees it.
type Spot struct {
	// X and Y are where their cursor is, in thousandths of the board from 1 on. 0: it is not
	// on the board.
	X int `json:"x,omitempty"`
	Y int `json:"y,omitempty"`
	// Types says that they are about to write something.
	Types bool `json:"types,omitempty"`
}

// valid reports whether there is anything to see, and where.
func (s Spot) valid() bool {
	on := func(n int) bool { return n >= 1 && n <= 1000 }
	return on(s.X) && on(s.Y) || s.X == 0 && s.Y == 0 && s.Types
}

// What a tab may cast: an honest one does ten times a second. What is beyond is lost.
const (
	castRate  = 25 // a second
	castBurst = 50
)

// ownerPrefix is how much of a person's name is in that of an owner, which is in each value
// that is shown. Names of persons are hashes: nobody finds another with the same 48 bits.
const ownerPrefix = 8

// How often a board is shown at most: a full one costs 20,000 deliveries a second.
const (
	softInterval = 50 * time.Millisecond
	softPerTab   = 50 * time.Microsecond
)

// softFrame is about how many bytes a frame of a board has at most: some 250 cursors.
const softFrame = 8 << 10

// newSoft returns what the boards share.
func (a *App) newSoft(replica string) *soft.Soft[Spot] {
	return soft.New(a.hub, replica, &soft.Options[Spot]{
		Logger: a.opts.Logger, Valid: Spot.valid, MaxFrame: softFrame, Changed: func(topic string) { a.feeds.Kick(topic) },
	})
}

// newFeeds returns what boards are shown by; the runtime has been started.
func (a *App) newFeeds() *live.Feeds {
	return live.NewFeeds(a.rt, live.FeedsOptions{
		Topic: func(topic string) string { return topic }, Next: a.soft.Next, Whole: a.soft.Whole,
		FrameInterval: softInterval, PerTab: softPerTab,
	})
}

// isBoard reports whether a topic is that of a board.
func isBoard(topic string) bool {
	name, ok := strings.CutPrefix(topic, softKind+":")
	return ok && ValidName(name)
}

// A seat is a tab's place at a board. Its methods may be called concurrently.
type seat struct {
	// set once
	app     *App
	topic   string
	user    string // as owners begin
	share   any    // of the visitor, as at the store; nil: nobody's in particular
	passing bool   // the tab has another session, or will have

	mu     sync.Mutex    // guards the rest
	bucket *rate.Limiter // nil until the first cast
	owner  string        // of what may be there; "": nothing is
	left   bool
}

// sit shows a board in a tab, which takes part in it.
func (a *App) sit(s *live.Session, topic string, who Visitor) (*seat, error) {
	user, passing := who.User, s.Passing()
	if user == "" && !passing {
		user = "-" + strconv.FormatUint(rand.Uint64(), 36) // nobody can be told by that
	}
	st := &seat{app: a, topic: topic, user: user, passing: passing}
	if who.Sender != nil {
		st.share = who.Sender.Share()
	}
	leave := a.soft.Watch(topic)
	s.OnLeave(func() { st.leave(); leave() })
	return st, a.feeds.Join(s, topic)
}

// castInput is what is cast at a board.
type castInput struct {
	Tab string `json:"tab"` // tells the tabs of a person apart
	Spot
}

// cast takes in what the tab has cast. What is wrong, or too much, is lost.
func (st *seat) cast(e htmx.Event) {
	var in castInput
	if e.Do != "here" || st.user == "" || json.Unmarshal(e.In, &in) != nil || !validTab(in.Tab) {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.bucket == nil {
		st.bucket = rate.NewLimiter(castRate, castBurst)
	}
	if st.left || !st.bucket.Allow() {
		return
	}
	owner := st.user[:min(len(st.user), ownerPrefix)] + "." + in.Tab
	if st.owner != owner {
		st.drop()
	}
	if st.owner = owner; !in.valid() { // a session that is passing may not have set it
		st.drop()
		return
	}
	_ = st.app.soft.SetFrom(st.topic, owner, in.Spot, st.share) // what there is no room for is lost
}

// validTab reports whether a tab may be called that: 1 to 12 of [a-z0-9].
func validTab(tab string) bool {
	return len(tab) >= 1 && len(tab) <= 12 && strings.Trim(tab, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// drop takes back what was set. The caller holds mu.
func (st *seat) drop() {
	if st.owner != "" {
		st.app.soft.Drop(st.topic, st.owner)
		st.owner = ""
	}
}

// leave is the end of the tab's session. One that is passing leaves what it has set, until
// the tab comes again or its time is over.
func (st *seat) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.left = true
	if !st.passing {
		st.drop()
	}
}

// A boardContent is what the page of a board is about.
type boardContent struct{ board components.Board }

// Document implements Content.
func (c boardContent) Document(p components.Page) live.Component {
	return components.BoardPage(p, c.board)
}

// Body implements Content.
func (c boardContent) Body(p components.Page) live.Component { return components.BoardBody(p, c.board) }

// boardPage returns what the page of a board shows.
func (a *App) boardPage(topic string) (components.Page, Content) {
	name := strings.TrimPrefix(topic, softKind+":")
	p := a.page(topic, Called(softKind), name, "")
	return p, boardContent{components.Board{Name: name, Topic: topic}}
}
