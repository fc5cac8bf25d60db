package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"lockstep"
	"lockstep/state"
)

// A Visit is one page on its way to somebody: what it needs that is for that person alone. It is
// for one goroutine.
type Visit struct {
	// User is who it is for, as actions know them, and Former who that was before, in this browser,
	// when their session has ended; "": nobody else.
	User, Former string
	// Name is what people call them.
	Name string

	server *Server
	base   string
	id     string            // of the session
	bound  string            // see users.of
	lanes  map[string]string // by topic
}

// Visit begins a page for the sender of a request: its session is set as a cookie, if it is new.
// The error is that of Options.User.
func (s *Server) Visit(w http.ResponseWriter, r *http.Request) (*Visit, error) {
	u, bound, err := s.users.of(r)
	if err != nil {
		return nil, err
	}
	who := clientOf(r)
	id, former := s.sign.ensure(w, r, who)
	v := &Visit{server: s, base: who.base, id: id, bound: bound}
	if s.users.ask == nil {
		u = visitorOf(id)
		if former != "" {
			v.Former = userOf(former)
		}
	}
	v.User, v.Name = u.ID, u.Name
	return v, nil
}

// Socket returns the address of the socket of a page that shows topics: nobody joins others by it.
// What is the visitor's own in it stands behind the last "=".
func (v *Visit) Socket(topics ...string) string {
	return v.base + v.server.mount + socketPath(v.server.sign, topics...) + "&t=" + v.server.sign.token(forSocket, v.id+v.bound, in(topics))
}

// Grants returns, as a JSON object, what shows that a page was given its topics once it is closed.
func (v *Visit) Grants(topics ...string) string {
	all := make(map[string]string, len(topics))
	for _, topic := range topics {
		all[topic] = v.server.sign.token(forGrant, v.id+v.bound, topic)
	}
	text, _ := json.Marshal(all) // strings can be
	return string(text)
}

// Lane returns what the ops of the page's forms of a topic are named by, when they are sent without
// JavaScript: it stands in their addresses as "lane". It is the same whenever it is asked for.
func (v *Visit) Lane(topic string) string {
	if v.lanes == nil {
		v.lanes = make(map[string]string)
	}
	if v.lanes[topic] == "" {
		v.lanes[topic] = v.server.sign.newLane(v.id+v.bound, topic)
	}
	return v.lanes[topic]
}

// Page returns what a part of the visit's page is rendered with that rooms and forms of package
// lockstep are in: see lockstep.WithPage. Socket and Grants need its topics.
func (v *Visit) Page() *lockstep.Page {
	return &lockstep.Page{
		User:  lockstep.User{ID: v.User, Name: v.Name},
		To:    func(topic, action string, fields ...string) string { return v.server.formAt(v, topic, action, fields) },
		Older: func(topic string, before uint64) string { return v.server.olderAt(v, topic, before) },
	}
}

// Submit has the op of a form done that was sent without JavaScript. One that comes twice is one op
// and counts once. The error is a *Problem: it was not counted, or that is not known. The answer to
// what was refused for its fields is no error: see lockstep.App.FieldErrors.
func (s *Server) Submit(r *http.Request, topic, action string) (state.Answer, error) {
	if err := r.ParseForm(); err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return state.Answer{}, ProblemOf(http.StatusRequestEntityTooLarge)
		}
		return state.Answer{}, problem(http.StatusBadRequest, "Not counted", "The form can't be read.")
	}
	who := clientOf(r)
	u, bound, err := s.users.of(r)
	if err != nil {
		return state.Answer{}, err
	}
	l, id, err := s.owner(r, bound, topic)
	if err != nil {
		return state.Answer{}, err
	}
	if s.users.ask == nil {
		u = visitorOf(id)
	}
	v := &visitor{s.limiter, who}
	op := l.op(action, r.URL.Query().Get("form"), state.Fields(r.PostForm), s.app.Runtime().Clock())
	answer, err := s.apply(r.Context(), v.as(u), topic, op)
	if err != nil {
		return answer, err
	}
	if answer.Verdict == state.Refused && s.app.FieldErrors(topic, answer.Reason) != nil {
		return answer, nil
	}
	if p := s.notDone(answer, who); p != nil {
		p.Again = sameAgain(r, who.base+r.URL.RequestURI(), answer)
		return answer, p
	}
	return answer, nil
}

// formPatience is how long a form waits for the store. Fronts take a replica that is silent for 5 s
// for dead (docs/deploy.md), and this one has something to say.
const formPatience = 4 * time.Second

// apply has an op applied. Where the store takes too long nobody knows whether it will be: the
// person may send the form again, and it counts once.
func (s *Server) apply(ctx context.Context, v lockstep.Visitor, topic string, op state.Op) (state.Answer, error) {
	short, cancel := context.WithTimeout(ctx, formPatience)
	defer cancel()
	answer, err := s.app.Do(short, v, topic, op)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return state.Answer{Reason: state.ReasonAway, Err: state.ErrUnavailable}, nil
	}
	return answer, err
}

// Accept is the middleware for the handlers of forms: only pages of this server may send them, and
// they are not long.
func (s *Server) Accept(next http.Handler) http.Handler {
	return s.handle(s.origins.sameOrigin(func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
		return nil
	}))
}

// Leave keeps what became of a form, for the page that it leads to: see Said.
func (s *Server) Leave(w http.ResponseWriter, r *http.Request, a state.Answer) {
	if a.Again {
		leave(w, r, countedTwice)
	} else {
		leave(w, r, countedOnce)
	}
}

// Said returns what a page is to say of a form that has led to it, once; "": nothing.
func (s *Server) Said(w http.ResponseWriter, r *http.Request) string { return said(w, r) }

// Send answers with a page, compressed where the client can read that.
func (s *Server) Send(w http.ResponseWriter, r *http.Request, status int, html []byte) error {
	w.Header().Set("Cache-Control", "no-cache")
	return s.compressor.send(w, r, status, html)
}
