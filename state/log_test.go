package state_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// lines are those of a log, which may be read while it is written.
type lines struct {
	mu  sync.Mutex // guards the rest
	all bytes.Buffer
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// count returns how many lines have a text.
func (l *lines) count(text string) int { return strings.Count(l.String(), text) }
