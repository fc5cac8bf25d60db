package main

import (
	"sync"
	"time"

	"lockstep/precondition"
)

const (
	// strangersPause is the longest silence of somebody who is there: replicas
	// speak every 2.5 s.
	strangersPause = 10 * time.Second
	// strangersPatience is how long somebody must be there before it is said: a
	// message now and then may be anything.
	strangersPatience = 15 * time.Second
	// strangersMemory is how long what was said holds.
	strangersMemory = time.Minute
)

// Strangers find out whether a replica shares the broker with others that have other keys. From
// what is not signed nobody can tell who says it: so it is a warning and no more, and whoever
// publishes on the broker can cause it. They may be used concurrently.
type strangers struct {
	// set once
	part    *precondition.Part
	replica string     // its name
	others  func() int // how many replicas of other processes are believed

	mu    sync.Mutex // guards the rest
	since time.Time  // when the first of a row of messages came
	last  time.Time  // when the last one did
	said  time.Time
}

// heard takes in that a message had no valid signature.
func (s *strangers) heard(string) {
	if s.stay(time.Now()) {
		s.part.SawFor(strangersMemory, s.replica, "", s.unmet())
	}
}

// stay reports whether it is to be said that strangers are there, which it is once a second at
// most.
func (s *strangers) stay(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.last) > strangersPause {
		s.since = now
	}
	s.last = now
	if now.Sub(s.since) < strangersPatience || now.Sub(s.said) < time.Second {
		return false
	}
	s.said = now
	return true
}

func (s *strangers) unmet() precondition.Unmet {
	u := precondition.Unmet{Name: "secret_shared"}
	if s.others() > 0 {
		u.Text = "beside replicas that are believed, somebody on the broker signs with other keys or not at all: " +
			"a replica with another -secret, one of an older version, or somebody who must not publish there; " +
			"give all replicas the same -secret, or change the broker's password"
		return u
	}
	u.Text = "what others say on the broker is not signed with the keys of this replica, and it believes no other: " +
		"it has another -secret than they have, and they refuse each other's pages; give all replicas the same -secret " +
		"(if there is no other replica, somebody publishes there who must not: change the broker's password)"
	return u
}

// otherLifetime says that a replica shares broker and store with one that has another -op-lifetime.
func otherLifetime(part *precondition.Part, replica string) {
	u := precondition.Unmet{Name: "op_lifetime_shared"}
	u.Text = "another replica has another -op-lifetime: the store may forget who has clicked by the shorter one, and a click " +
		"that is sent again after that, and within the longer, may count twice; give all replicas the same -op-lifetime"
	part.SawFor(strangersMemory, "-op-lifetime of "+replica, "", u)
}
