package main

import (
	"strings"
	"testing"
)

func TestWhatKeysShouldBeAndAreNotIsSaid(t *testing.T) {
	const given = longSecret
	for name, c := range map[string]struct {
		keys          keyFlags
		broker, store string
		want          string
	}{
		"one for all":                      {keyFlags{Secret: given}, "redis://r", "redis://r", ""},
		"known to everybody":               {keyFlags{Insecure: true}, "redis://r", "redis://r", "secret_public"},
		"-insecure-dev with a secret":      {keyFlags{Secret: given, Insecure: true}, "redis://r", "redis://r", ""},
		"a store that others may share":    {keyFlags{}, "mem:", "postgres://p", "secret_kept"},
		"the same with a secret":           {keyFlags{Secret: given}, "mem:", "postgres://p", ""},
		"a file, with its key beside it":   {keyFlags{}, "mem:", "file:x.db", ""},
		"the first step of a deploy":       {keyFlags{Secret: given, Unsigned: true}, "redis://r", "redis://r", "broadcasts_signed"},
		"that step where nobody can hear":  {keyFlags{Unsigned: true}, "mem:", "mem:", ""},
		"that step, and keys for all eyes": {keyFlags{Insecure: true, Unsigned: true}, "redis://r", "redis://r", "secret_public broadcasts_signed"},
	} {
		if err := c.keys.check(c.broker); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range c.keys.unmet(&backendFlags{PubSub: c.broker, Store: c.store}) {
			got = append(got, u.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
