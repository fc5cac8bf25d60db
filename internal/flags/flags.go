// Package flags adds to package flag what the programs of this module have in common: help in
// groups, and errors that say what to write instead. It knows no program, and reads no environment.
package flags

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Width is how wide the text of a help is, in columns.
const Width = 100

// Grouped is flags in groups. It is used by one goroutine.
type Grouped struct {
	*flag.FlagSet
	Env map[string]string // the variable that sets a flag too, for the help; a flag without one is not in it

	groups    []group
	secrets   map[string]bool // flags whose words no error says
	explained bool            // values explain what is wrong with a word
	failed    *failure        // of the value that was set last; nil: none
}

// A group is what a help shows below one heading.
type group struct {
	heading string
	names   []string
}

// A failure is a value that a flag does not take.
type failure struct {
	name string
	err  error
}

// New returns a set without a flag, for the program of a name. It prints nothing by itself.
func New(program string) *Grouped {
	s := &Grouped{FlagSet: flag.NewFlagSet(program, flag.ContinueOnError), Env: map[string]string{}, secrets: map[string]bool{}}
	s.SetOutput(io.Discard)
	s.Usage = func() {}
	return s
}

// Group begins a group: the flags that are noted from now on belong to it.
func (s *Grouped) Group(heading string) { s.groups = append(s.groups, group{heading: heading}) }

// Note puts flags into the group that was begun last; a flag in none is not in the help. There must
// be one.
func (s *Grouped) Note(names ...string) {
	g := &s.groups[len(s.groups)-1]
	g.names = append(g.names, names...)
}

// Secret keeps what is given for flags out of all errors.
func (s *Grouped) Secret(names ...string) {
	for _, name := range names {
		s.secrets[name] = true
	}
}

// Names returns the flags of all groups, in the order of the help.
func (s *Grouped) Names() (all []string) {
	for _, g := range s.groups {
		all = append(all, g.names...)
	}
	return all
}

// Words returns the arguments with the first word "help" or "version" as a flag: many programs take
// these without a dash.
func Words(args []string) []string {
	if len(args) > 0 && (args[0] == "help" || args[0] == "version") {
		return append([]string{"-" + args[0]}, args[1:]...)
	}
	return args
}

// Parse is FlagSet.Parse with errors for people, in one line that names the flag. It is
// flag.ErrHelp if help was asked for. All flags must be defined by then.
func (s *Grouped) Parse(args []string) error {
	s.explain()
	err := s.FlagSet.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	if s.failed != nil {
		return fmt.Errorf("-%s: %w", s.failed.name, s.failed.err)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("there is no flag -%s%s", name, s.didYouMean(name))
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		return fmt.Errorf("-%s needs a value", name)
	}
	return err
}

// Set is FlagSet.Set with errors for people, which don't name the flag.
func (s *Grouped) Set(name, value string) error {
	s.explain()
	return s.FlagSet.Set(name, value)
}

// Stray says what may be meant by a word that belongs to no flag, or "". The word itself is not
// said, unless it is the name of a flag: it may be a part of a secret.
func (s *Grouped) Stray(word string) string {
	switch {
	case s.Lookup(word) != nil:
		return "did you mean -" + word + "?"
	case word == "true" || word == "false":
		return "a switch has its value behind a =, as in -switch=" + word
	}
	return ""
}

// Help writes an introduction, and lists the flags below their headings, with variables and
// defaults. A closed terminal has no reader to tell: errors of writing are nobody's.
func (s *Grouped) Help(w io.Writer, introduction string) {
	_, _ = io.WriteString(w, introduction)
	for _, g := range s.groups {
		_, _ = fmt.Fprintf(w, "\n%s\n", g.heading)
		for _, name := range g.names {
			_, _ = io.WriteString(w, s.describe(s.Lookup(name)))
		}
	}
}

func (s *Grouped) describe(f *flag.Flag) string {
	plain := *f
	if v, ok := f.Value.(value); ok {
		plain.Value = v.Value // whose type says the kind of value
	}
	arg, usage := flag.UnquoteUsage(&plain)
	head := "  -" + f.Name
	if arg != "" {
		head += " " + arg
	}
	if v := s.Env[f.Name]; v != "" {
		head += "  (" + v + ")"
	}
	if f.DefValue != "" && f.DefValue != "false" && !strings.Contains(usage, "(default ") {
		usage += " (default " + f.DefValue + ")"
	}
	return head + "\n" + wrap(usage, "        ")
}

// wrap breaks a text into lines of Width that begin with indent.
func wrap(text, indent string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case width == 0:
			b.WriteString(indent)
		case width+1+len(word) > Width-len(indent):
			b.WriteString("\n" + indent)
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String() + "\n"
}
