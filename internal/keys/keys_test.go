package keys_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"lockstep/internal/keys"
)

const long = "0123456789012345678901234567890123456789"

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestKeysComeFromAFile(t *testing.T) {
	path := t.TempDir() + "/secret"
	if err := os.WriteFile(path, []byte("\n"+long+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := keys.FromEnvironment(env(map[string]string{"LOCKSTEP_SECRET_FILE": path}))
	if err != nil || len(got) != 1 || string(got[0]) != long {
		t.Errorf("got %q, %v", got, err)
	}
	for _, values := range []map[string]string{
		{"LOCKSTEP_SECRET_FILE": path, keys.Variable: "hunter2"},
		{"LOCKSTEP_SECRET_FILE": t.TempDir() + "/none"},
	} {
		_, err := keys.FromEnvironment(env(values))
		if err == nil || !strings.Contains(err.Error(), "LOCKSTEP_SECRET_FILE") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want what is wrong with LOCKSTEP_SECRET_FILE", err)
		}
	}
}

func TestKeysAreOneInEachLine(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
		says string
	}{
		"none":                       {"", nil, ""},
		"blank lines":                {"\n \r\n", nil, ""},
		"one":                        {long, []string{long}, ""},
		"two, as a file has them":    {long + "\r\n\n  another " + long + "\n", []string{long, "another " + long}, ""},
		"one that is short":          {"hunter2", nil, "key 1 has 7 bytes"},
		"a second one that is short": {long + "\nhunter2", nil, "key 2 has 7 bytes"},
	} {
		got, err := keys.FromEnvironment(env(map[string]string{keys.Variable: c.text}))
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "LOCKSTEP_SECRET: ") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q", name, err, c.says)
			}
			continue
		}
		if err != nil || len(got) != len(c.want) || string(bytes.Join(got, nil)) != strings.Join(c.want, "") {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestTheKeptKeyStays(t *testing.T) {
	store := t.TempDir() + "/data/x.db"
	first, err := keys.Kept(store)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keys.Kept(store)
	if err != nil || !bytes.Equal(first, second) || len(first) < keys.Min {
		t.Errorf("got %q and %q, %v", first, second, err)
	}
	if bytes.Equal(first, keys.Fresh()) {
		t.Error("two keys are the same")
	}
}
