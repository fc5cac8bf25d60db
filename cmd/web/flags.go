package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// helpWidth is how wide the text of -h is, in columns.
const helpWidth = 100

// errUsage is wrapped by every error that is the caller's: exit code 2.
var errUsage = errors.New("usage")

// usageError makes an error of one line for a wrong flag or variable.
func usageError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// A flagSet is the flags in groups, each flag with a variable.
type flagSet struct {
	*flag.FlagSet
	env    map[string]string // variable by flag; a flag without one is not in it
	groups []flagGroup
}

// A flagGroup is what -h shows below one heading.
type flagGroup struct {
	heading string
	names   []string
}

func newFlagSet() *flagSet {
	fs := &flagSet{FlagSet: flag.NewFlagSet("web", flag.ContinueOnError), env: map[string]string{}}
	fs.SetOutput(io.Discard) // errors are printed by main, in one line
	return fs
}

// group begins a group: the flags that follow belong to it.
func (fs *flagSet) group(heading string) {
	fs.groups = append(fs.groups, flagGroup{heading: heading})
}

// add notes a flag, with the variable of the same name.
func (fs *flagSet) add(name string) {
	fs.note(name)
	fs.env[name] = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// note notes a flag that has no variable.
func (fs *flagSet) note(name string) {
	g := &fs.groups[len(fs.groups)-1]
	g.names = append(g.names, name)
}

func (fs *flagSet) text(p *string, name, def, usage string) {
	fs.add(name)
	fs.StringVar(p, name, def, usage)
}

func (fs *flagSet) count(p *int, name string, def int, usage string) {
	fs.add(name)
	fs.IntVar(p, name, def, usage)
}

func (fs *flagSet) rate(p *float64, name string, def float64, usage string) {
	fs.add(name)
	fs.Float64Var(p, name, def, usage)
}

func (fs *flagSet) span(p *time.Duration, name string, def time.Duration, usage string) {
	fs.add(name)
	fs.DurationVar(p, name, def, usage)
}

func (fs *flagSet) list(v flag.Value, name, usage string) {
	fs.add(name)
	fs.Var(v, name, usage)
}

// command is a flag that makes the program do something else than serve.
func (fs *flagSet) command(p *bool, name, usage string) {
	fs.note(name)
	fs.BoolVar(p, name, false, usage)
}

// fromEnvironment sets the flags that were not given from their variables.
func (fs *flagSet) fromEnvironment(getenv func(string) string) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if port := getenv("PORT"); port != "" && getenv("ADDR") == "" && !given["addr"] {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return usageError("PORT: %q is not a port number", port)
		}
		if err := fs.Set("addr", ":"+port); err != nil {
			return usageError("PORT: %s", err)
		}
		given["addr"] = true
	}
	for _, g := range fs.groups {
		for _, name := range g.names {
			variable := fs.env[name]
			if variable == "" || given[name] || getenv(variable) == "" {
				continue
			}
			if err := fs.Set(name, getenv(variable)); err != nil {
				return usageError("%s: %q is not a value for -%s (%s); -h lists all flags", variable, getenv(variable), name, err)
			}
		}
	}
	return nil
}

// help lists the flags below their headings, with variables and defaults, after an introduction. A
// closed terminal has no reader to tell: errors of writing are nobody's.
func (fs *flagSet) help(w io.Writer, intro string) {
	_, _ = io.WriteString(w, intro)
	for _, g := range fs.groups {
		_, _ = fmt.Fprintf(w, "\n%s\n", g.heading)
		for _, name := range g.names {
			_, _ = io.WriteString(w, fs.describe(fs.Lookup(name)))
		}
	}
}

func (fs *flagSet) describe(f *flag.Flag) string {
	arg, usage := flag.UnquoteUsage(f)
	head := "  -" + f.Name
	if arg != "" {
		head += " " + arg
	}
	if v := fs.env[f.Name]; v != "" {
		head += "  (" + v + ")"
	}
	if f.DefValue != "" && f.DefValue != "false" {
		usage += " (default " + f.DefValue + ")"
	}
	return head + "\n" + wrap(usage, "        ")
}

// wrap breaks a text into lines of helpWidth that begin with indent.
func wrap(text, indent string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case width == 0:
			b.WriteString(indent)
		case width+1+len(word) > helpWidth-len(indent):
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
