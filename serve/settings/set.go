// Package settings has the flags and variables by which an operator says whom a server believes, by
// which names it is reached, what clients may take and how long they may hold it: those that every
// program has which serves. It opens nothing, and knows no application.
package settings

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/flags"
)

// ErrUsage is wrapped by every error that is the caller's: exit code 2.
var ErrUsage = errors.New("usage")

// Wrong makes an error of one line for a wrong flag or variable. It wraps ErrUsage.
func Wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

// A Set is the flags in groups, each flag with a variable of the environment.
type Set struct {
	*flags.Grouped
}

// NewSet returns the flags of a program, of which there are none so far.
func NewSet(program string) *Set { return &Set{flags.New(program)} }

// Add notes a flag, with the variable of the same name.
func (fs *Set) Add(name string) {
	fs.Note(name)
	fs.Env[name] = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Text adds a flag that is a text.
func (fs *Set) Text(p *string, name, def, usage string) {
	fs.Add(name)
	fs.StringVar(p, name, def, usage)
}

// Count adds a flag that is a whole number.
func (fs *Set) Count(p *int, name string, def int, usage string) {
	fs.Add(name)
	fs.IntVar(p, name, def, usage)
}

// Rate adds a flag that is a number.
func (fs *Set) Rate(p *float64, name string, def float64, usage string) {
	fs.Add(name)
	fs.Float64Var(p, name, def, usage)
}

// Span adds a flag that is a time.
func (fs *Set) Span(p *time.Duration, name string, def time.Duration, usage string) {
	fs.Add(name)
	fs.DurationVar(p, name, def, usage)
}

// List adds a flag that is a list.
func (fs *Set) List(v flag.Value, name, usage string) {
	fs.Add(name)
	fs.Var(v, name, usage)
}

// Command adds a flag that makes the program do something else than serve. It has no variable.
func (fs *Set) Command(p *bool, name, usage string) {
	fs.Note(name)
	fs.BoolVar(p, name, false, usage)
}

// FromEnvironment sets the flags that were not given from their variables; and that of the address,
// -addr, from PORT where ADDR is not set. An error wraps ErrUsage.
func (fs *Set) FromEnvironment(getenv func(string) string) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if port := strings.TrimSpace(getenv("PORT")); port != "" && strings.TrimSpace(getenv("ADDR")) == "" && !given["addr"] {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return Wrong("PORT: %q is not a port number", port)
		}
		if err := fs.Set("addr", ":"+port); err != nil {
			return Wrong("PORT: %s", err)
		}
		given["addr"] = true
	}
	for _, name := range fs.Names() {
		variable := fs.Env[name]
		value := strings.TrimSpace(getenv(variable)) // files of variables often have blanks
		if variable == "" || given[name] || value == "" {
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return Wrong("%s (for -%s): %s; -h lists all flags", variable, name, err)
		}
	}
	return nil
}
