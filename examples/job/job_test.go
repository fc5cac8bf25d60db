package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/livetest"
	"lockstep/serve"
)

// hooked is the site, whose webhook a test calls by itself.
func hooked(webhook *http.Handler) livetest.Build {
	return func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
		s, h := site(app, opts)
		*webhook = h
		return s, h
	}
}

func post(t *testing.T, webhook http.Handler, id, steps string) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(url.Values{"id": {id}, "steps": {steps}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	webhook.ServeHTTP(w, r)
	return w.Code
}

func TestAJobGoesOnWhenItsReplicaDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var webhook http.Handler
		c := livetest.Start(t, 2, hooked(&webhook))
		tab := c.Replica(1).Open("/")
		for range 3 { // it is sent again, as webhooks are
			if code := post(t, webhook, "7", "20"); code != http.StatusOK {
				t.Fatalf("got %d", code)
			}
		}
		time.Sleep(2 * time.Second)
		tab.Sees("of 20")
		tab.SeesNot("20 of 20")
		c.Replica(0).Crash()
		time.Sleep(lease + 22*pace)
		tab.Sees("20 of 20")
		c.Restart(0)
		c.Replica(0).Open("/").Sees("20 of 20")
	})
}

func TestAJobThatCannotBeIsRefused(t *testing.T) {
	var webhook http.Handler
	livetest.Start(t, 1, hooked(&webhook))
	for _, steps := range []string{"0", "1001", "many", ""} {
		if code := post(t, webhook, "x"+steps, steps); code != http.StatusUnprocessableEntity {
			t.Errorf("%q: got %d", steps, code)
		}
	}
}
