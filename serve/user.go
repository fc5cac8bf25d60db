package serve

import (
	"errors"
	"net/http"

	"lockstep"
)

// A Redirect is an error that leads to another address of the server: that of a login, from
// Options.User.
type Redirect struct{ To string }

// Error implements error.
func (r Redirect) Error() string { return "serve: go to " + r.To }

// users tell who sends a request. They may be used concurrently.
type users struct {
	ask func(r *http.Request) (lockstep.User, error) // Options.User
}

// of returns who a request is of, and what tokens for them are bound to beside their session: by
// these somebody else who logs in in the same browser can't go on with a page. Without Options.User
// that is told by the session, which is not known yet.
func (us users) of(r *http.Request) (u lockstep.User, bound string, err error) {
	if us.ask == nil {
		return u, "", nil
	}
	if u, err = us.ask(r); err != nil {
		return u, "", who(err)
	}
	return u, "\x00user " + u.ID, nil
}

// who is the error of Options.User as a page says it.
func who(err error) error {
	var p *Problem
	var to Redirect
	if errors.As(err, &p) || errors.As(err, &to) {
		return err
	}
	return problem(http.StatusForbidden, "Who are you?", "This page is for people who have logged in: "+err.Error()+".")
}

// visitorOf is who a session is of, where the application does not say.
func visitorOf(id string) lockstep.User {
	user := userOf(id)
	return lockstep.User{ID: user, Name: lockstep.Pseudonym(user)}
}
