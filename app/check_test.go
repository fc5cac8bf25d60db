package app_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

const (
	adaIn = `{"name":"Ada","email":"ada@example.org","team":"north"}`
	crew  = "signup:crew"
)

// checks counts the messages that say what is wrong with a form.
func checks(tab *livetest.Tab) (all []string) {
	for _, m := range tab.Messages() {
		if strings.Contains(m, "error-name") {
			all = append(all, m)
		}
	}
	return all
}

// TestAFormIsCheckedWhileItIsFilledIn: for the tab that fills it in, and for no other.
func TestAFormIsCheckedWhileItIsFilledIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		ann := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{User: "ann"}, crew))
		bob := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{User: "bob"}, crew))
		op := ann.Do(crew, "signup", adaIn)
		ann.Until("the answer", func() bool { return ann.Acked(op) == 1 })
		bob.Until("the account", func() bool { return strings.Contains(bob.Shown(crew).Content, `data-name="Ada"`) })
		before := recordOf(t, store, crew)
		for in, want := range map[string]string{
			`{"name":"ada","email":"","team":""}`:            "this name is taken",
			`{"name":"Bob","email":"b"}`:                     "an address is name@example.org",
			`{"name":"<b>"}`:                                 "a name has letters, digits",
			`{"name":"Bob","team":"up"}`:                     "choose a team",
			`{"name":"Bob","picture":"<script>"}`:            "this is no picture",
			`{"name":["ada","Bob"],"email":"b@example.org"}`: "this name is taken",
		} {
			n := len(checks(bob))
			bob.Send(fmt.Sprintf(`{"cast":"check","t":%q,"in":%s}`, crew, in))
			bob.Until(want, func() bool { all := checks(bob); return len(all) > n && strings.Contains(all[len(all)-1], want) })
			time.Sleep(100 * time.Millisecond)
		}
		n := len(checks(bob))
		bob.Send(fmt.Sprintf(`{"cast":"check","t":%q,"in":{"name":"","email":""}}`, crew))
		bob.Until("nothing to be wrong with what is empty", func() bool {
			all := checks(bob)
			return len(all) > n && !strings.Contains(all[len(all)-1], "needed")
		})
		if got := checks(ann); len(got) > 0 {
			t.Errorf("another tab was told %q", got)
		}
		if after := recordOf(t, store, crew); after.Version != before.Version {
			t.Errorf("the state has version %d, and had %d", after.Version, before.Version)
		}
	})
}

// TestChecksAreBounded: casts that are nothing do nothing, and those that come too fast are lost.
func TestChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		tab := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{User: "bob"}, crew, "counter:x"))
		for _, message := range []string{
			`{"cast":"check","t":"signup:other","in":{"name":"x"}}`, `{"cast":"check","t":"counter:x","in":{"name":"x"}}`,
			`{"cast":"other","t":"signup:crew","in":{"name":"x"}}`, `{"cast":"check","t":"signup:crew","in":[1]}`,
			`{"cast":"check","t":"signup:crew","in":{"name":{"a":1}}}`, `{"cast":"check","t":"","in":{}}`,
		} {
			tab.Send(message)
		}
		if got := checks(tab); len(got) > 0 {
			t.Errorf("got %q", got)
		}
		const flood = 1000
		for range flood {
			tab.Send(`{"cast":"check","t":"signup:crew","in":{"name":"<"}}`)
		}
		tab.Until("an answer", func() bool { return len(checks(tab)) > 0 })
		time.Sleep(time.Second)
		if n := len(checks(tab)); n < 10 || n > 30 {
			t.Errorf("%d checks at once were answered %d times", flood, n)
		}
		n := len(checks(tab))
		for range 20 { // as fast as a page sends them
			time.Sleep(100 * time.Millisecond)
			tab.Send(`{"cast":"check","t":"signup:crew","in":{"name":"<"}}`)
		}
		time.Sleep(time.Second)
		if got := len(checks(tab)) - n; got != 20 {
			t.Errorf("got %d answers to 20 checks of an honest page", got)
		}
		op := tab.Do(crew, "signup", adaIn)
		tab.Until("the answer", func() bool { return tab.Acked(op) == 1 })
	})
}

// TestATabThatRendersItselfIsToldNoAddress: neither is its page.
func TestATabThatRendersItselfIsToldNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		tab := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{User: "ann"}, crew))
		tab.Send(`{"hello":2,"client":"x","as":"data"}`)
		op := tab.Do(crew, "signup", adaIn)
		tab.Until("the answer", func() bool { return tab.Acked(op) == 1 })
		tab.Until("the state", func() bool { return strings.Contains(tab.Shown(crew).State, "Ada") })
		for _, m := range tab.Messages() {
			if strings.Contains(m, "ada@example.org") {
				t.Errorf("it was sent %s", m)
			}
		}
		if got := tab.Shown(crew).State; !strings.Contains(got, "north") {
			t.Errorf("got the state %s", got)
		}
	})
}

// TestASignUpThatIsSentAgainHasTheSameAnswer: by field, from another replica.
func TestASignUpThatIsSentAgainHasTheSameAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		if _, err := one.Do(t.Context(), app.Visitor{User: "ann"}, crew, signUpOp(1, adaIn)); err != nil {
			t.Fatal(err)
		}
		for i, a := range []*app.App{one, two, two} {
			taken := signUpOp(2, `{"name":"ADA","email":"x","team":"north"}`)
			answer, err := a.Do(t.Context(), app.Visitor{User: "bob"}, crew, taken)
			if err != nil || answer.Verdict != state.Refused || answer.Again != (i > 0) {
				t.Errorf("got %+v, %v", answer, err)
			}
			wrong := a.FieldErrors(crew, answer.Reason)
			if wrong["name"] != "this name is taken" || wrong["email"] != "an address is name@example.org" || len(wrong) != 2 {
				t.Errorf("got %v", wrong)
			}
		}
		for i, a := range []*app.App{two, one} {
			answer, err := a.Do(t.Context(), app.Visitor{User: "ann"}, crew, signUpOp(1, adaIn))
			if err != nil || answer.Verdict != state.Ack || !answer.Again {
				t.Errorf("%d: got %+v, %v", i, answer, err)
			}
		}
		for reason := range map[string]bool{"": true, "no": true, "other: x": true, "name: x\nother: y": true} {
			if got := one.FieldErrors(crew, reason); got != nil {
				t.Errorf("%q: got %v", reason, got)
			}
		}
		if got := one.FieldErrors("bank:x", "name: x"); got != nil {
			t.Errorf("a bank has %v", got)
		}
	})
}

func signUpOp(client byte, in string) state.Op {
	op := state.Op{Client: state.Client{client}, Seq: 1, From: 1, Do: "signup"}
	if err := op.In.UnmarshalJSON([]byte(in)); err != nil {
		panic(err)
	}
	return op
}
