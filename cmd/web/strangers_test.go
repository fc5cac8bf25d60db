package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/precondition"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/signedpubsub"
	"lockstep/state/memstate"
)

const otherSecret = "another secret of thirty-two bytes"

// TestAReplicaWithAnotherSecretIsNoticed by all, and it says so itself.
func TestAReplicaWithAnotherSecretIsNoticed(t *testing.T) {
	const alone, beside = "it believes no other", "beside replicas that are believed"
	for name, c := range map[string]struct {
		secrets []string // of each replica
		want    []string // of what it says; "": nothing
	}{
		"all have one":        {[]string{longSecret, longSecret, longSecret}, []string{"", "", ""}},
		"one has another":     {[]string{longSecret, longSecret, otherSecret}, []string{beside, beside, alone}},
		"each has its own":    {[]string{longSecret, otherSecret}, []string{alone, alone}},
		"a replica by itself": {[]string{longSecret}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&log, nil)) // one: it is the handler that locks
				bus := mempubsub.NewBus()
				var parts []*precondition.Part
				for i, secret := range c.secrets {
					part := precondition.NewPart("replicas", logger)
					startWatched(t, signedWith(t, bus, secret), part, "replica "+string(rune('a'+i)))
					parts = append(parts, part)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for i, want := range c.want {
					if got := said(parts[i]); (got == "") != (want == "") || !strings.Contains(got, want) {
						t.Errorf("%d: got %q, want %q", i, got, want)
					}
				}
				for _, secret := range []string{longSecret, otherSecret} {
					if strings.Contains(log.String(), secret) {
						t.Error("a secret is in the log")
					}
				}
				if got := strings.Count(log.String(), "secret_shared"); got > len(c.secrets) {
					t.Errorf("got %d lines of log, want one for each replica at most:\n%s", got, &log)
				}
			})
		})
	}
}

// TestSomebodyWhoPublishesCostsAWarning and no more, which ends when they go.
func TestSomebodyWhoPublishesCostsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		bus := mempubsub.NewBus()
		part := precondition.NewPart("replicas", slog.New(slog.NewTextHandler(&log, nil)))
		a := startWatched(t, signedWith(t, bus, longSecret), part, "a")
		wire := openOn(t, bus)
		publish := func() {
			if err := wire.Publish(t.Context(), "presence", []byte("s1:x")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 5 {
			publish()
			time.Sleep(time.Minute)
		}
		if got := said(part); got != "" {
			t.Errorf("got %q of a message now and then", got)
		}
		for range 30_000 { // half an hour, twenty a second
			publish()
			time.Sleep(50 * time.Millisecond)
		}
		if got := said(part); !strings.Contains(got, "believes no other") {
			t.Errorf("got %q of somebody who goes on", got)
		}
		if n := strings.Count(log.String(), "secret_shared"); n != 1 || a.Ready(t.Context()) != nil {
			t.Errorf("got %d lines and %v, want one, and a replica that is ready", n, a.Ready(t.Context()))
		}
		time.Sleep(strangersMemory)
		synctest.Wait()
		if got := said(part); got != "" {
			t.Errorf("got %q of somebody who has gone", got)
		}
	})
}

func said(p *precondition.Part) (texts string) {
	for _, u := range p.Unmet() {
		texts += u.Text
	}
	return texts
}

func signedWith(t *testing.T, d driver.Driver, secret string) driver.Driver {
	t.Helper()
	s, err := signedpubsub.NewDriver(d, [][]byte{[]byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startWatched starts an application as startReplica does.
func startWatched(t *testing.T, d driver.Driver, part *precondition.Part, name string) *app.App {
	t.Helper()
	watch := &strangers{part: part, replica: name}
	a := app.New(d, memstate.New(nil), &app.Options{Logger: slog.New(slog.DiscardHandler), Replica: name, Rebalance: 20, Hub: pubsub.Options{OnForged: watch.heard}})
	watch.others = a.Others
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestAReplicaWithAnotherLifetimeIsNoticed by all others, and it says so itself, until it has gone.
func TestAReplicaWithAnotherLifetimeIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		lives  []time.Duration // of each replica; 0: the default
		secret string          // of the last one
		want   bool
	}{
		"all have the default":         {[]time.Duration{0, 7 * day, 0}, longSecret, false},
		"one has another":              {[]time.Duration{0, 0, day}, longSecret, true},
		"each has its own":             {[]time.Duration{day, 2 * day, 3 * day}, longSecret, true},
		"who has others is a stranger": {[]time.Duration{0, day}, otherSecret, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&log, nil)) // one: it is the handler that locks
				bus, store := mempubsub.NewBus(), memstate.New(nil)
				var parts []*precondition.Part
				var apps []*app.App
				for i, life := range c.lives {
					name, part := "replica "+string(rune('a'+i)), precondition.NewPart("replicas", logger)
					secret := longSecret
					if i == len(c.lives)-1 {
						secret = c.secret
					}
					a := app.New(signedWith(t, bus, secret), store, &app.Options{
						Logger: slog.New(slog.DiscardHandler), Replica: name, OpLifetime: life, OpLifetimeDiffers: func() { otherLifetime(part, name) },
					})
					if err := a.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					parts, apps = append(parts, part), append(apps, a)
				}
				livetest.Open(t, apps[0].Runtime(), page(t, apps[0])) // it is there for all to hear
				livetest.Open(t, apps[len(apps)-1].Runtime(), page(t, apps[len(apps)-1]))
				time.Sleep(5 * time.Minute)
				for i, part := range parts {
					if got := said(part); (got != "") != c.want || c.want && !strings.Contains(got, "the same -op-lifetime") {
						t.Errorf("%d: got %q, want anything: %t", i, got, c.want)
					}
				}
				if n := strings.Count(log.String(), "op_lifetime_shared"); n > len(parts) {
					t.Errorf("got %d lines of log, want one for each replica at most", n)
				}
				for _, a := range apps {
					if err := a.Stop(context.Background(), 0); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(2 * time.Minute)
				if got := said(parts[0]); got != "" {
					t.Errorf("got %q after all have gone", got)
				}
			})
		})
	}
}

func page(t *testing.T, a *app.App) live.View {
	t.Helper()
	v, err := a.View(app.Visitor{}, "counter:x")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func openOn(t *testing.T, d driver.Driver) driver.Conn {
	t.Helper()
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // of a broker in memory
	return c
}
