package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/serve/settings"
)

// file makes a file with a text.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretsComeFromFiles(t *testing.T) {
	c, err := parseConfig(nil, env(
		"SECRET_FILE", file(t, "\n"+longSecret+"\n"),
		"PUBSUB_URL_FILE", file(t, " redis://u:p@r\n"), "STORE_URL_FILE", file(t, "postgres://u:p@s/d\n"),
	), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.keys) != 1 || string(c.keys[0]) != longSecret || c.PubSub != "redis://u:p@r" || c.Store != "postgres://u:p@s/d" {
		t.Errorf("got %d keys, %q and %q", len(c.keys), c.PubSub, c.Store)
	}
	for _, name := range []string{"REDIS_URL", "DATABASE_URL"} {
		c, err := parseConfig([]string{"-insecure-dev"}, env(name+"_FILE", file(t, "redis://r")), &bytes.Buffer{})
		if err != nil || c.PubSub != "redis://r" {
			t.Errorf("%s_FILE: got %q, %v", name, c.PubSub, err)
		}
	}
}

func TestAFileThatHoldsNoSecretIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		says string
	}{
		"both a file and the value": {[]string{"SECRET", "hunter2", "SECRET_FILE", file(t, longSecret)}, "both set"},
		"not there":                 {[]string{"SECRET_FILE", "/nowhere"}, "/nowhere"},
		"a folder":                  {[]string{"SECRET_FILE", t.TempDir()}, "directory"},
		"empty":                     {[]string{"PUBSUB_URL_FILE", file(t, " \n\n")}, "empty"},
		"too large":                 {[]string{"STORE_URL_FILE", file(t, strings.Repeat("hunter2", 10000))}, "65536"},
		"short":                     {[]string{"SECRET_FILE", file(t, "hunter2")}, "-secret"},
		"not a URL":                 {[]string{"REDIS_URL_FILE", file(t, "hunter2")}, "-pubsub"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig(nil, env(c.env...), &bytes.Buffer{})
			if !errors.Is(err, settings.ErrUsage) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want a usage error with %q and no secret", err, c.says)
			}
		})
	}
}
