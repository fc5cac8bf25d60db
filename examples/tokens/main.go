// Command tokens streams what a model answers to everybody, word by word. Any replica makes the
// answer; when it dies, or is deployed anew, another goes on: no word is missing or said twice.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
	"lockstep/state"
)

// A Talk is what was asked last.
type Talk struct {
	ID, Prompt string
	Said       string    // all of the answer, for screen readers; "": it is being made
	First      string    // the replica that has begun it, which nobody else knows
	By         string    // the replica that makes it
	Until      time.Time // then others may
}

// A Token is a word of an answer, or the prompt before it.
type Token struct {
	Word string
	Asks bool
}

type claim struct{ ID, By, Said string }

const (
	model = "the model" // who replicas are; no visitor is that
	lease = 3 * time.Second
	pace  = 50 * time.Millisecond // of words
)

//go:embed style.css
var style string

func main() { run.Main("localhost:8107", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	var talks *lockstep.Shared[Talk]
	talks = lockstep.Share(app, "talk", func(t Talk) templ.Component { return about(talks.At("all"), t) })
	lockstep.On(talks, "ask", func(t Talk, in struct{ Text string }, c lockstep.Call) (Talk, error) {
		if t.isMade() {
			return t, lockstep.Refused("the model is answering: wait, or stop it")
		}
		if strings.TrimSpace(in.Text) == "" || len(in.Text) > 200 {
			return t, lockstep.Refused("ask something, in at most 200 letters")
		}
		return Talk{ID: c.Op, Prompt: in.Text}, nil
	})
	lockstep.On(talks, "stop", func(t Talk, _ struct{}, _ lockstep.Call) (Talk, error) {
		t.Said = cmp.Or(t.Said, "Stopped.")
		return t, nil
	})
	lockstep.On(talks, "claim", take)
	tokens := lockstep.Logging(app, "tokens", 200, token)
	lockstep.OnLog(tokens, "say", say)
	me := rand.Text()
	app.Background(func(ctx context.Context) {
		for tick := time.Tick(2 * pace); ctx.Err() == nil; <-tick {
			_ = answer(ctx, talks, tokens, me) // what is left of it is tried again
		}
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(talks.At("all"), tokens.At("all")) },
		serve.PageOptions{Title: "Tokens", Styles: []string{"/style.css"}}))
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "style.css", time.Time{}, strings.NewReader(style))
	})
	return s, mux
}

func (t Talk) isMade() bool { return t.ID != "" && t.Said == "" }

// take has an answer made by a replica for a while.
func take(t Talk, in claim, c lockstep.Call) (Talk, error) {
	if c.User != model || !t.isMade() || t.ID != in.ID || t.By != in.By && c.At.Before(t.Until) {
		return t, lockstep.Refused("it is another's, or over")
	}
	t.Said, t.First, t.By, t.Until = in.Said, cmp.Or(t.First, in.By), in.By, c.At.Add(lease)
	return t, nil
}

func say(in Token, c lockstep.Call) (Token, error) {
	if c.User != model {
		return in, lockstep.ErrNotAllowed
	}
	return in, nil
}

// answer makes what is left of an answer, if no other replica does. The producer goes on where the
// last one of the same client has come, and that one can say nothing more: a lease that two hold,
// because clocks are wrong, does no harm.
func answer(ctx context.Context, talks *lockstep.Shared[Talk], tokens *lockstep.Log[Token], me string) error {
	t, err := talks.Read(ctx, "all")
	if err != nil || !t.isMade() || t.By != me && time.Now().Before(t.Until) {
		return err
	}
	hold := func(said string) error {
		return talks.Do(ctx, "all", "claim", claim{t.ID, me, said}, lockstep.Doing{User: lockstep.User{ID: model}})
	}
	if err := hold(""); err != nil {
		return err
	}
	client := state.ProducerClient([]byte(cmp.Or(t.First, me)), t.ID)
	p, err := tokens.Produce("all", client, &state.ProducerOptions{User: model})
	if err != nil {
		return err
	}
	words := append([]string{t.Prompt}, modelled(t.Prompt)...)
	n, err := p.Resume(ctx)
	for tick := time.Tick(pace); err == nil && n < uint64(len(words)); n++ {
		<-tick
		in := lockstep.Fields{"word": {words[n]}, "asks": {strconv.FormatBool(n == 0)}}
		if err = p.Send(ctx, "say", in, nil); err == nil && n%10 == 0 {
			err = hold("") // refused: somebody has stopped it
		}
	}
	if err = cmp.Or(err, p.Close(ctx)); err != nil { // else the log has all of it
		return err
	}
	return hold(strings.Join(words[1:], " "))
}
