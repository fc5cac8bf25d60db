// Package components is a kit of templ components: buttons, fields, dialogs, tables, charts and
// what a live page says of itself. They are pure functions of plain values, which may be rendered
// concurrently, on a server and in a browser. They know nothing of stores, sessions, HTTP and
// package lockstep, and import nothing but templ.
//
// Each component is in a file of its own, takes one Props struct, and passes Attributes on to its
// element. Zero values of props are the defaults. What is inside of a component are its children.
//
// The look is in one style sheet, the custom properties of which are its theme: see README.md. The
// kit works without scripts. One tiny script, which a page may leave out, remembers the theme,
// copies code and closes menus.
package components

//go:generate ../bin/templ generate -include-version=false

import (
	"embed"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"
)

// Files has the style sheet and the script: lockstep.css and lockstep.js. Pages load the style
// sheet with a link and the script with defer.
//
//go:embed lockstep.css lockstep.js
var Files embed.FS

// StyleSheet returns the text of lockstep.css.
func StyleSheet() string { return file("lockstep.css") }

// Script returns the text of lockstep.js. It runs as a module and as a classic script.
func Script() string { return file("lockstep.js") }

func file(name string) string {
	b, err := Files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(b)
}

// A Link leads somewhere. An address that is no link, such as one of a script, leads nowhere.
type Link struct {
	Text, To string
	Current  bool // it leads to the page that is shown
}

// An Option is one of several that a person may choose.
type Option struct {
	Value    string // that is sent
	Label    string // "": Value
	Hint     string // what more there is to say of it; radios show it, selects don't
	Disabled bool
}

func (o Option) label() string { return or(o.Label, o.Value) }

// A Tone is what a message or a badge is about. The zero Tone is neutral.
type Tone string

// Tones.
const (
	Neutral Tone = ""
	Good    Tone = "good"
	Warn    Tone = "warn"
	Bad     Tone = "bad"
)

// or returns s, or what stands for it when it is empty.
func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// class joins the classes of a component with those that its user adds; empty ones are left out.
func class(attrs templ.Attributes, own ...string) string {
	if more, ok := attrs["class"].(string); ok {
		own = append(own, more)
	}
	return strings.Join(strings.Fields(strings.Join(own, " ")), " ")
}

// rest are attributes that a user adds without the class, which is joined with the component's own.
func rest(attrs templ.Attributes) templ.Attributes {
	if _, ok := attrs["class"]; !ok {
		return attrs
	}
	all := maps.Clone(attrs)
	delete(all, "class")
	return all
}

// modifier is a class of a variant; "": none.
func modifier(of, variant string) string {
	if variant == "" {
		return ""
	}
	return of + "-" + variant
}

// hue is the class of one of eight colours, always the same for a name.
func hue(name string) string {
	h := uint32(2166136261) // FNV-1a
	for _, b := range []byte(name) {
		h = (h ^ uint32(b)) * 16777619
	}
	return "ls-hue-" + strconv.Itoa(int(h>>16&7))
}

// initials are the first letters of the first and the last word of a name.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	if len(words) == 0 {
		return "?"
	}
	text := firstLetter(words[0])
	if len(words) > 1 {
		text += firstLetter(words[len(words)-1])
	}
	return text
}

func firstLetter(word string) string {
	r, _ := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(r))
}
