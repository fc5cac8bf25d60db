package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/flags"
)

// errUsage is wrapped by every error that is the caller's: exit code 2.
var errUsage = errors.New("usage")

// usageError makes an error of one line for a wrong flag or variable.
func usageError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// A flagSet is the flags in groups, each flag with a variable.
type flagSet struct {
	*flags.Grouped
	env map[string]string // variable by flag; a flag without one is not in it
}

func newFlagSet() *flagSet {
	s := flags.New("web")
	return &flagSet{s, s.Env}
}

// group begins a group: the flags that follow belong to it.
func (fs *flagSet) group(heading string) { fs.Group(heading) }

// add notes a flag, with the variable of the same name.
func (fs *flagSet) add(name string) {
	fs.note(name)
	fs.env[name] = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// note notes a flag that has no variable.
func (fs *flagSet) note(name string) { fs.Note(name) }

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
	if port := strings.TrimSpace(getenv("PORT")); port != "" && strings.TrimSpace(getenv("ADDR")) == "" && !given["addr"] {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return usageError("PORT: %q is not a port number", port)
		}
		if err := fs.Set("addr", ":"+port); err != nil {
			return usageError("PORT: %s", err)
		}
		given["addr"] = true
	}
	for _, name := range fs.Names() {
		variable := fs.env[name]
		value := strings.TrimSpace(getenv(variable)) // files of variables often have blanks
		if variable == "" || given[name] || value == "" {
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return usageError("%s (for -%s): %s; -h lists all flags", variable, name, err)
		}
	}
	return nil
}
