package serve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
)

func TestManyProbesCostOneReadOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, away := 0, errors.New("away")
		ask := func(context.Context) error {
			asked++
			return away
		}
		r := &readiness{ask: ask}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := r.check(gone); !errors.Is(err, away) {
					t.Errorf("got %v, want %v", err, away)
				}
			})
		}
		all.Wait()
		if asked != 1 {
			t.Errorf("got %d reads, want one", asked)
		}
		time.Sleep(readyFor)
		away = nil
		if err := r.check(t.Context()); err != nil || asked != 2 {
			t.Errorf("got %v after %d reads, want that it is asked again", err, asked)
		}
	})
}

func TestABalancerIsToldOfADrainAndOfNothingElse(t *testing.T) {
	away := errors.New("away")
	for name, c := range map[string]struct {
		state             error
		draining, overall int
	}{
		"well":                 {nil, http.StatusOK, http.StatusOK},
		"the store is away":    {away, http.StatusOK, http.StatusServiceUnavailable},
		"it drains":            {live.ErrDraining, http.StatusServiceUnavailable, http.StatusServiceUnavailable},
		"it drains, and so on": {errors.Join(live.ErrDraining, away), http.StatusServiceUnavailable, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			rd := &readiness{ask: func(context.Context) error { return c.state }, state: func() error { return c.state }}
			for path, probe := range map[string]struct {
				serve handler
				want  int
			}{staysPath: {rd.stays, c.draining}, readyPath: {rd.serve, c.overall}} {
				w := httptest.NewRecorder()
				if err := probe.serve(w, httptest.NewRequest(http.MethodGet, path, nil)); err != nil || w.Code != probe.want {
					t.Errorf("%s: got %d and %v, want %d", path, w.Code, err, probe.want)
				}
			}
		})
	}
}
