package app

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/state"
)

// Limits of a sign-up: with these a list that is full keeps within the size of a state.
const (
	maxAccounts = 200
	maxName     = 30 // characters
	maxNameSize = 60 // bytes
	maxAddress  = 80 // bytes
)

// Teams are what there is to choose from.
func Teams() []string { return []string{"north", "east", "south", "west"} }

// An Account is one person's. Everybody sees all of it but the address, which is for the server
// alone.
type Account struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
	Team  string `json:"team"`
	// Picture is the id of an upload. "": there is none.
	Picture string `json:"picture,omitempty"`
	By      string `json:"by,omitempty"` // the user
}

// Signups are who has signed up, in that order. No two have the same name, and case makes none
// another.
type Signups struct {
	Accounts []Account `json:"accounts,omitempty"`
}

// SignupKind is the kind of the demo's sign-ups: lists of accounts.
func SignupKind() state.Kind[Signups] {
	return state.Kind[Signups]{
		Name:    "signup",
		Actions: map[string]state.Action[Signups]{"signup": signUp},
	}
}

// signUp adds an account. The same account of the same person, once more, changes nothing: a form
// that was sent from two pages is one.
func signUp(s Signups, in state.Fields, c state.Call) (Signups, error) {
	a := accountOf(in)
	a.By = c.User
	if a.By != "" && slices.Contains(s.Accounts, a) {
		return s, nil
	}
	if err := s.problems(a).Err(); err != nil {
		return s, err
	}
	return Signups{slices.Concat(s.Accounts, []Account{a})}, nil
}

// accountOf reads a form.
func accountOf(in state.Fields) Account {
	return Account{
		Name:    strings.Join(strings.Fields(in.Get("name")), " "),
		Email:   strings.TrimSpace(in.Get("email")),
		Team:    in.Get("team"),
		Picture: in.Get("picture"),
	}
}

// problems says what keeps an account from being added, by field.
func (s Signups) problems(a Account) state.FieldErrors {
	e := make(state.FieldErrors)
	note := func(field, problem string) {
		if problem != "" {
			e[field] = problem
		}
	}
	note("name", s.problemOfName(a.Name))
	note("email", problemOfAddress(a.Email))
	if !slices.Contains(Teams(), a.Team) {
		e["team"] = "choose a team"
	}
	if a.Picture != "" && !isPictureID(a.Picture) {
		e["picture"] = "this is no picture that was sent here"
	}
	return e
}

func (s Signups) problemOfName(name string) string {
	switch {
	case name == "":
		return "a name is needed"
	case utf8.RuneCountInString(name) > maxName || len(name) > maxNameSize:
		return "this name is too long"
	case strings.ContainsFunc(name, isNotOfNames):
		return "a name has letters, digits, spaces, and - . ' only"
	case !strings.ContainsFunc(name, unicode.IsLetter):
		return "a name has a letter in it"
	case slices.ContainsFunc(s.Accounts, func(a Account) bool { return strings.EqualFold(a.Name, name) }):
		return "this name is taken"
	case len(s.Accounts) >= maxAccounts:
		return "this list is full"
	}
	return ""
}

func isNotOfNames(c rune) bool {
	return c == utf8.RuneError || !unicode.In(c, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune(" -.'", c)
}

// problemOfAddress finds what is no address of mail. Whether one is anybody's only a mail can
// tell.
func problemOfAddress(email string) string {
	local, domain, ok := strings.Cut(email, "@")
	switch {
	case email == "":
		return "an address is needed"
	case len(email) > maxAddress:
		return "this address is too long"
	case !ok || local == "":
		return "an address is name@example.org"
	case strings.ContainsFunc(email, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`<>&"\(),:;`, c) }):
		return "this address has a character that none has"
	case strings.Contains(domain, "@") || !strings.Contains(strings.Trim(domain, ".-"), ".") || strings.Contains(domain, ".."):
		return "what is behind the @ is no domain"
	}
	return ""
}

// isPictureID reports whether a text can be the id of an upload. Whether it is one the action
// can't know: a page shows a picture that is not there as none.
func isPictureID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// checkSignup says what is wrong with what a person has typed so far. What is still empty is not.
func checkSignup(s Signups, in state.Fields) state.FieldErrors {
	e := s.problems(accountOf(in))
	for field := range e {
		if strings.TrimSpace(in.Get(field)) == "" {
			delete(e, field)
		}
	}
	return e
}

// publicSignups leaves out what is for the server alone.
func publicSignups(s Signups) Signups {
	all := slices.Clone(s.Accounts)
	for i := range all {
		all[i].Email = ""
	}
	return Signups{all}
}

// signups adds the kind.
func signups(a *lockstep.App) func(context.Context, string) (Content, string, error) {
	kind := lockstep.ShareWith(a, lockstep.SharedOptions[Signups]{
		Kind: SignupKind(), ValidKey: ValidName, Look: lookOfSignup,
		Check: checkSignup, Checked: []string{"name", "email", "team", "picture"}, Public: publicSignups,
	})
	return func(ctx context.Context, name string) (Content, string, error) {
		s, err := kind.Show(ctx, name)
		props := signupProps(s)
		return signupContent{props}, props.Sum(), err
	}
}

// lookOfSignup is how a list of accounts looks.
func lookOfSignup(s lockstep.Shown[Signups]) (string, lockstep.Component) {
	return "#live", pages.SignupView(signupProps(s))
}

func signupProps(s lockstep.Shown[Signups]) pages.Signup {
	p := pages.Signup{Name: s.Key, Topic: s.Topic, Epoch: s.Epoch, Version: s.Version, Known: s.Known, Waiting: s.Waiting, Teams: Teams()}
	for _, a := range s.State.Accounts {
		p.People = append(p.People, pages.Person{Name: a.Name, Team: a.Team, Picture: a.Picture, By: a.By})
	}
	return p
}

// A signupContent is what the page of one is about.
type signupContent struct{ signup pages.Signup }

// Document implements Content.
func (c signupContent) Document(p pages.Page) live.Component {
	return pages.SignupPage(p, c.signup)
}

// Body implements Content.
func (c signupContent) Body(p pages.Page) live.Component {
	return pages.SignupBody(p, c.signup)
}
