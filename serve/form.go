package serve

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"lockstep"
	"lockstep/state"
)

// do has the op of a form done, and leads back to the page that it was on, which says what became
// of it.
func (s *Server) do(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	q := r.URL.Query()
	answer, err := s.Submit(r, q.Get("topic"), q.Get("do"))
	if err != nil {
		return err
	}
	if answer.Verdict == state.Refused {
		p := problem(http.StatusUnprocessableEntity, "Not accepted yet", answer.Reason)
		p.Other = Link{To: s.backTo(r), Text: "Go back"}
		return p
	}
	s.Leave(w, r, answer)
	return redirect(w, http.StatusSeeOther, s.backTo(r))
}

// backTo is the page that a form was on: of this server, whatever the address says.
func (s *Server) backTo(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host == "" {
		return clientOf(r).base + "/"
	}
	from, site := u.Scheme+"://"+u.Host, s.origins.site(r, clientOf(r))
	if !site.HasOrigin(from) && !site.Lists(from) {
		return clientOf(r).base + "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// owner returns the lane of a form and the session that it was given to, if it was to this browser.
func (s *Server) owner(r *http.Request, bound, topic string) (l lane, id string, err error) {
	all := s.sign.read(r, clientOf(r))
	if l, id, ok := s.sign.readLane(all, bound, topic, r.URL.Query().Get("lane")); ok {
		return l, id, nil
	}
	s.refused.token.Add(1)
	if !all.sent {
		return l, "", problem(http.StatusForbidden, "Your browser sent no cookie",
			"This server needs one to know its own forms: nothing was counted. Allow cookies for this address, then go back "+
				"and press again. Loading the page again does not help before that.")
	}
	return l, "", problem(http.StatusForbidden, "This form is too old",
		"It was not accepted, and nothing was counted. Go back, where a new one is, and press again.")
}

// sameAgain is the same form once more, where sending it again can help.
func sameAgain(r *http.Request, to string, a state.Answer) Again {
	if a.Verdict != state.Retry {
		return Again{}
	}
	again := Again{To: to}
	for name, values := range r.PostForm {
		for _, value := range values {
			again.Fields = append(again.Fields, Field{Name: name, Value: value})
		}
	}
	return again
}

// awayWait is how long a client waits that could not be served for reasons of ours: about as long
// as a broker or a store needs to come back.
const awayWait = 2 * time.Second

// notDone is the answer to a form that was not counted, or of which that is not known; nil: it was.
func (s *Server) notDone(a state.Answer, who client) *Problem {
	switch a.Verdict {
	case state.Refused:
		return problem(http.StatusConflict, "Not counted", "The server did not accept this: "+a.Reason+".")
	case state.Old:
		return problem(http.StatusConflict, "Nobody knows",
			"This form is so old that nobody knows any more whether it was counted. Go back and look.")
	case state.Retry:
		return s.notYet(a.Err, who)
	}
	return nil
}

// notYet is the answer to a form that was not counted, and may be sent again.
func (s *Server) notYet(err error, who client) *Problem {
	const once = ": it counts once, however often it is sent."
	switch {
	case errors.Is(err, state.ErrNewTopic):
		return tooMuch("There were too many new pages from your network.", s.limiter.names.Wait(who.addr), once)
	case errors.Is(err, state.ErrNewLane):
		return tooMuch("There were too many new visitors from your network.", s.limiter.lanes.Wait(who.addr), once)
	case errors.Is(err, lockstep.ErrTooMany):
		return tooMuch("There were too many changes from your network.", s.limiter.clicks.Wait(who.addr), once)
	}
	text := "This can't be saved at the moment."
	if errors.Is(err, state.ErrOverloaded) {
		text = "There are too many changes at the moment."
	}
	return problem(http.StatusServiceUnavailable, "Not counted yet", text+" Try again in a little while"+once).After(awayWait)
}

// tooMuch is the answer to a form of an address that has used up what it may for a while.
func tooMuch(text string, wait time.Duration, once string) *Problem {
	return problem(http.StatusTooManyRequests, "Too many changes", text+" Try again in "+inWords(wait)+once).After(wait)
}
