package pages

// A Signup is what is shown of a list of accounts.
type Signup struct {
	Name, Topic    string
	Epoch, Version uint64
	Known          bool // false while the store could not be read
	People         []Person
	Waiting        int // sign-ups that only this tab knows of
	Teams          []string
}

// A Person is an account as everybody sees it.
type Person struct {
	Name, Team string
	Picture    string // the id of an upload; "": there is none
	By         string // who has made it
}

// Sum is what the title of its page begins with.
func (s Signup) Sum() string {
	if !s.Known {
		return ""
	}
	return plural(len(s.People), "account")
}

// initial is what stands in the place of a picture.
func (p Person) initial() string {
	for _, c := range p.Name {
		return string(c)
	}
	return ""
}

// picture is its address, relative to the page.
func (p Person) picture(at string) string { return at + p.Picture }

// A field is one of a form, with its place for what is wrong with it.
type field struct {
	Name, Label, Hint string
	Type              string // of the input
	Autocomplete      string
	Most              int // characters
	Filled            Filled
}

// id is the element of the input, and errorID that of what is wrong with it.
func (f field) id() string      { return "field-" + f.Name }
func (f field) errorID() string { return "error-" + f.Name }

// value is what an input shows: never a password again.
func (f field) value() string {
	if f.Type == "password" {
		return ""
	}
	return f.Filled.Value
}

func (f field) describedBy() string {
	if f.Hint == "" {
		return f.errorID()
	}
	return f.errorID() + " hint-" + f.Name
}

// signupForm is the form of its page.
func (p Page) signupForm(s Signup) Form {
	f := p.form(s.Topic, "signup")
	f.Check, f.Once = "check", true
	return f
}
