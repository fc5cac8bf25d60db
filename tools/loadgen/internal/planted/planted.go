// Package planted is a small live server with bugs that are planted on purpose, to see that the
// load generator finds each. It speaks the wire of docs/protocol.md, of three kinds of pages, and
// knows nothing of the product. It is for tests.
package planted

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Bugs are what a Server does wrong. The zero value is a correct server. With a number n the bug is
// in every nth op or state, counted from 1, unless its comment says otherwise.
type Bugs struct {
	DropUpdate    int  // each state is withheld from one tab in n, another one each time
	Freeze        int  // every nth tab that connects gets no state after its first
	Backwards     int  // after the state a tab is sent the one before, too
	TwoTruths     int  // the state has another count for every second tab
	Twice         int  // the op counts two times; in a poll a voter comes from nowhere
	TwiceOnResend bool // an op that is sent again counts again
	LoseClick     int  // the op is acknowledged and not counted
	LoseAnswer    int  // the op's first answer is lost (right: it is sent again)
	NoAck         int  // the op is counted and never acknowledged
	EarlyAck      int  // the op is acknowledged, and the state follows with the next
	ApplyRefused  int  // the op is refused, and counted
	NoReason      bool // refusals have no reason
	Disorder      int  // the op is applied before that which its client has made before it
	Overdraft     bool // accounts may be overdrawn
	Settle        int  // the op is counted, and called settled
	OtherAnswer   bool // an op that was applied is refused when it is sent again
	Forget        int  // the op is called old (right: nobody knows)
	Retry         int  // the op is not taken at first (right: it is sent again)
	Refuse        int  // the op is refused for good (right, if nothing is counted)
	CutEvery      int  // after n ops all connections are closed (right: tabs connect again)
	Tabs          int  // connections beyond n are refused; 0: none
	NoSocket      bool // the page names no socket
	Garbage       int  // bytes that are no message follow the state
	NoStreams     bool // streams are refused (right: tabs ask)
	HoldStreams   bool // streams say nothing (right: tabs ask)
	CutAnswers    int  // the answer to the exchange is cut off (right: tabs send again)
	Mute          bool // the server never says its clock (tabs must not send ops then)

	// These are of lists and logs, whose messages say what has changed.
	WrongBase     int // the change says of another version that it is one of it, to every second tab
	LostTombstone int // the change does not say which items have gone
	GapForWhole   int // of a log, every second tab is told in every nth state only, and of its end as if that were all
	LoseEntry     int // the change leaves the newest item out, for every second tab
	SwapItems     int // the change has the two newest items in another order, for every second tab
	Conflate      int // the state is not sent to every second tab (right: the next change has it)
	LoseFrame     int // an early change is lost, of one tab in n (right: the tab sees that the next does not fit)
	Forgetful     int // before the state the server forgets all versions (right: it sends all)

	// These are of boards.
	NeverForget bool // a value stays, also when its owner has left
	Swap        int  // the cast is shown as another owner's
	LoseCast    int  // the cast is lost, and nothing else comes in its place
	LongFrame   int  // the frame is longer than any may be
}

// A Server has pages by kind and name. Its methods may be called concurrently.
type Server struct {
	URL  string
	bugs Bugs

	mu      sync.Mutex // guards the rest
	topics  map[string]*topic
	tabs    int // that ever connected
	sockets int // that ever were asked for
	open    int
	fins    map[string]uint64 // by client
	strange []string          // what tabs said that they must not say
	stale   []string          // ops that came after a retry, and were not looked for again since
}

// Start runs a server until the test ends.
func Start(t testing.TB, bugs Bugs) *Server {
	t.Helper()
	s := &Server{bugs: bugs, topics: make(map[string]*topic), fins: make(map[string]uint64)}
	mux := http.NewServeMux()
	for path, kind := range map[string]string{"c": "counter", "poll": "poll", "bank": "bank", "list": "list", "log": "log", "soft": "soft"} {
		on := func(f func(topic *topic, w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				s.mu.Lock()
				topic := s.topic(kind, r.PathValue("name"))
				s.mu.Unlock()
				f(topic, w, r)
			}
		}
		mux.HandleFunc("GET /"+path+"/{name}", on(s.page))
		mux.HandleFunc("GET /ws/"+kind+"/{name}", on(s.socket))
		mux.HandleFunc("POST /ws/"+kind+"/{name}", on(s.request))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.cut()
		server.Close()
	})
	s.URL = server.URL
	return s
}

// Count is what a counter has.
func (s *Server) Count(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topic("counter", name).count
}

// Sockets is how many websockets were asked for.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets
}

// Finished is how many clients have clicked and said that they need no more answers, of how many.
func (s *Server) Finished() (finished, clients int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range s.topics {
		for client, lane := range topic.lanes {
			clients++
			if s.fins[client] == lane.last {
				finished++
			}
		}
	}
	return finished, clients
}

// Strange is what tabs have said that they must not say.
func (s *Server) Strange() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strange
}

// Stale are ops that came again, as they were, half a second after they were not taken or later.
// That is right if the tab did not know: after a connection that was cut.
func (s *Server) Stale() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale
}

// topic is that of a page, which may be new. The caller holds mu.
func (s *Server) topic(kind, name string) *topic {
	of := kind + ":" + name
	if s.topics[of] == nil {
		s.topics[of] = newTopic(kind, name)
	}
	return s.topics[of]
}

func (s *Server) page(topic *topic, w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := rand.Text()
	connect := fmt.Sprintf(` hx-ws:connect="/ws/%s/%s" data-user=%q`, topic.kind, topic.name, user)
	if s.bugs.NoSocket {
		connect = ""
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: user})
	_, _ = fmt.Fprintf(w, `<!doctype html><p id="status" data-state="live"></p><main%s><div id="live">%s</div>%s<p id="replica">planted</p></main>`,
		connect, topic.root(0), topic.controls())
}

// socket serves a tab until it leaves.
func (s *Server) socket(topic *topic, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.sockets++
	s.mu.Unlock()
	t := s.admit(topic, r)
	if t == nil {
		http.Error(w, "no more tabs", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(t)
	if t.user == "" {
		http.Error(w, "no cookie", http.StatusForbidden)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	var writer sync.WaitGroup
	defer writer.Wait()
	defer t.end("")
	writer.Go(func() { t.write(websocketConn{conn}) })
	for {
		_, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		s.receive(t, message)
	}
}

// admit adds a tab; nil: there are too many.
func (s *Server) admit(topic *topic, r *http.Request) *tab {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bugs.Tabs > 0 && s.open >= s.bugs.Tabs {
		return nil
	}
	s.open++
	s.tabs++
	t := &tab{number: s.tabs, topic: topic, more: make(chan struct{}, 1)}
	if cookie, err := r.Cookie("session"); err == nil {
		t.user = cookie.Value
	}
	if !s.bugs.Mute {
		t.send(fmt.Sprintf(`{"status":"live","beat":20,%s}`, clock()))
	}
	switch {
	case topic.kind == "soft":
		t.send(topic.everything())
	case !topic.isItems():
		t.send(topic.message(topic.version, topic.root(0)))
	}
	topic.tabs = append(topic.tabs, t)
	return t
}

// clock is the server's, as messages have it.
func clock() string { return fmt.Sprintf(`"clock":%d`, time.Now().UnixMilli()) }

func (s *Server) leave(t *tab) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if t.board != "" && !s.bugs.NeverForget {
		s.forget(t.topic, t.board)
	}
	t.topic.tabs = slices.DeleteFunc(t.topic.tabs, func(other *tab) bool { return other == t })
}

// cut closes all connections, as a server that restarts does.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range s.topics {
		for _, t := range topic.tabs {
			t.end("restart")
		}
	}
}

// A message is what a tab says.
type message struct {
	Hello int
	At    map[string][2]uint64
	Op    []any
	Fin   []any
	Seen  int64
	T     string
	Do    string
	In    json.RawMessage
	Cast  string
}

// name reads the client and the numbers that name an op.
func name(parts []any, of int) (client string, numbers []uint64) {
	if len(parts) != of {
		return "", nil
	}
	client, _ = parts[0].(string)
	for _, part := range parts[1:] {
		n, _ := part.(float64)
		numbers = append(numbers, uint64(n))
	}
	return client, numbers
}

// receive takes a message of a tab.
func (s *Server) receive(t *tab, text []byte) {
	var m message
	if json.Unmarshal(text, &m) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Hello != 0 {
		if at := m.At[t.topic.kind+":"+t.topic.name]; t.topic.isItems() {
			s.hello(t, at[1])
		}
		return
	}
	if client, upto := name(m.Fin, 2); client != "" {
		s.fins[client] = upto[0]
		return
	}
	if m.Cast != "" {
		s.cast(t, m.In)
		return
	}
	var in map[string]string
	_ = json.Unmarshal(m.In, &in) // an op may have none
	client, n := name(m.Op, 3)
	switch {
	case client == "" || n[1] < 1 || n[0] < n[1] || m.T != t.topic.kind+":"+t.topic.name:
		s.strange = append(s.strange, "no op: "+string(text))
		return
	case m.Seen == 0:
		s.strange = append(s.strange, "no clock: "+string(text))
	case t.topic.lanes[client].passesOver(n[1]):
		s.strange = append(s.strange, "an op without an answer is passed over: "+string(text))
	case t.topic.isStale(opID{client, n[0]}, m.Seen):
		s.stale = append(s.stale, string(text))
	}
	before := t.topic.ops
	s.click(t, op{client: client, seq: n[0], from: n[1], do: m.Do, in: in, user: t.user})
	if now := t.topic.ops; now != before && each(s.bugs.CutEvery, now) {
		for _, other := range t.topic.tabs {
			other.end("restart")
		}
	}
}

// each reports whether op or state n has a bug. 0: none has.
func each(bug, n int) bool { return bug > 0 && n%bug == 0 }

// writeTimeout is after what time the connection of a tab that does not read is closed.
const writeTimeout = 10 * time.Second
