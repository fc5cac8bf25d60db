package app_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/state"
)

func ada() app.Account {
	return app.Account{Name: "Ada", Email: "ada@example.org", Team: "north", By: "u1"}
}

func filledIn(pairs ...string) state.Fields {
	in := state.Fields{"name": {"Ada"}, "email": {"ada@example.org"}, "team": {"north"}}
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i]] = []string{pairs[i+1]}
	}
	return in
}

func fullList(n int) (s app.Signups) {
	for i := range n {
		name := fmt.Sprintf("%s%04d", strings.Repeat("ж", 26), i)
		s.Accounts = append(s.Accounts, app.Account{
			Name: name, Email: strings.Repeat("e", 68) + "@example.org", Team: "north", Picture: strings.Repeat("a", 26), By: "user-00000000000000000",
		})
	}
	return s
}

func TestASignUpIsOneAccountOfItsName(t *testing.T) {
	one := app.Signups{Accounts: []app.Account{ada()}}
	bob := app.Account{Name: "Bob", Email: "b@example.org", Team: "west", By: "u2", Picture: strings.Repeat("a", 26)}
	refused := func(name, says string, in state.Fields) acted[app.Signups] {
		return acted[app.Signups]{name, one, "signup", in, "u2", one, says}
	}
	tryAll(t, app.SignupKind(), []acted[app.Signups]{
		{"the first", app.Signups{}, "signup", filledIn(), "u1", one, ""},
		{"with spaces around", app.Signups{}, "signup", filledIn("name", "  Ada ", "email", " ada@example.org "), "u1", one, ""},
		{"the same once more", one, "signup", filledIn(), "u1", one, ""},
		{"another", one, "signup", filledIn("name", "Bob", "email", "b@example.org", "team", "west", "picture", bob.Picture), "u2",
			app.Signups{Accounts: []app.Account{ada(), bob}}, ""},
		refused("the same by somebody else", "name: this name is taken", filledIn()),
		refused("a name in capitals", "name: this name is taken", filledIn("name", "ADA")),
		refused("without a name", "name: a name is needed", filledIn("name", " ")),
		refused("a name that is too long", "name: this name is too long", filledIn("name", strings.Repeat("x", 31))),
		refused("a name of markup", "name: a name has letters", filledIn("name", "<b>Bob")),
		refused("a name of digits", "name: a name has a letter in it", filledIn("name", "42")),
		refused("a name that is no text", "name: a name has letters", filledIn("name", "B\xffb")),
		refused("a name that turns around", "name: a name has letters", filledIn("name", "Bob\u202e")),
		refused("without an address", "email: an address is needed", filledIn("email", "")),
		refused("an address without an @", "email: an address is", filledIn("name", "B", "email", "b.example.org")),
		refused("an address of no domain", "email: what is behind the @", filledIn("name", "B", "email", "b@localhost")),
		refused("an address of two", "email: what is behind the @", filledIn("name", "B", "email", "b@c@example.org")),
		refused("an address with markup", "email: this address has a character", filledIn("name", "B", "email", "<b@example.org")),
		refused("an address that is too long", "email: this address is too long", filledIn("email", strings.Repeat("x", 80)+"@example.org")),
		refused("without a team", "team: choose a team", filledIn("name", "B", "team", "")),
		refused("a team that there is not", "team: choose a team", filledIn("name", "B", "team", "up")),
		refused("a picture elsewhere", "picture: this is no picture", filledIn("name", "B", "picture", "../../etc/passwd")),
		refused("nothing", "name: a name is needed", nil),
		{"when there are as many as can be", fullList(200), "signup", filledIn(), "u1", app.Signups{}, "name: this list is full"},
	})
}

// TestAFullListHasRoom: it refuses people by itself, and never because of its bytes.
func TestAFullListOfAccountsHasRoom(t *testing.T) {
	data, err := app.SignupKind().Write(fullList(200))
	if err != nil || len(data) > state.DefaultMaxData {
		t.Errorf("got %d bytes, %v, want at most %d", len(data), err, state.DefaultMaxData)
	}
}

// TestAllThatCanBeWrongIsTold: within what is kept of a refusal.
func TestAllThatCanBeWrongIsTold(t *testing.T) {
	_, err := app.SignupKind().Actions["signup"](app.Signups{}, state.Fields{
		"name": {"<"}, "email": {"<@"}, "team": {"<"}, "picture": {"<"},
	}, state.Call{User: "u"})
	wrong, ok := state.ParseFieldErrors(err.Error())
	if !ok || len(wrong) != 4 || len(err.Error()) > 200 {
		t.Errorf("got %q: %d bytes", err, len(err.Error()))
	}
}
