package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/history"
)

// recorded is the file of a counter that was clicked once.
func recorded(t *testing.T) string {
	t.Helper()
	now := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	r := history.NewRecording(func() time.Time { return now })
	one, two := history.State{Epoch: 1, Version: 1, Value: "1"}, history.State{Epoch: 1, Version: 2, Value: "2"}
	op := history.Op{ID: history.ID{Client: "a", Seq: 1}, Do: "increment"}
	r.Begin(one)
	r.Joined("1", "r", one)
	r.Shown("1", one)
	r.Sent("1", op)
	r.Shown("1", two)
	r.Acked("1", op.ID)
	r.End(two, "1")
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAHistoryIsCheckedAgain(t *testing.T) {
	good := recorded(t)
	for _, c := range []struct {
		name, text, stdout, stderr string
		code                       int
	}{
		{"one that holds", good, "1 clicks, 0 faults, 0 lost, 0 twice;", "", exitFine},
		{"a click that is lost", strings.Replace(good, `"end":[1,2,"2"]`, `"end":[1,2,"1"]`, 1), " 1 lost, 0 twice;", "", exitFailed},
		{"a file that is none", "hello\n", "", "this is no recording: line 1: invalid character", exitUsage},
		{"no file", "", "", "no such file or directory", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "history")
			if c.text != "" {
				if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			code, stdout, stderr := invoke(t, "-check", file)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || strings.Count(stderr, "\n") > 1 {
				t.Errorf("got %d %q %q, want %d %q %q", code, stdout, stderr, c.code, c.stdout, c.stderr)
			}
		})
	}
	if code, _, stderr := invoke(t, "-check", ""); code != exitUsage || !strings.Contains(stderr, "names no file") {
		t.Errorf("got %d %q without a file", code, stderr)
	}
}
