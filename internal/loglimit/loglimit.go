// Package loglimit bounds a log, so that one cause that repeats itself (a
// poisoned topic, a flapping broker, an attacker) fills no disk and hides no
// other line.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Window is the time in which lines are counted.
	Window = 10 * time.Second
	// Limit is how many lines of the same level, message and reason (the
	// attribute "reason") are logged in a Window, whatever their other
	// attributes say. How many more there were is
	// logged after it, with the next line of any kind.
	Limit = 20
	// maxMessages is how many different messages are told apart; more count
	// as one.
	maxMessages = 1000
)

// NewHandler returns a handler that passes on to inner what is within Limit.
// Debug lines are not limited: they are there to show all. It may
// be used concurrently.
func NewHandler(inner slog.Handler) slog.Handler {
	return &handler{inner: inner, seen: &seen{lines: make(map[line]int)}}
}

type handler struct {
	inner slog.Handler
	seen  *seen // shared by those made by WithAttrs and WithGroup
}

// seen counts the lines of the present window.
type seen struct {
	mu    sync.Mutex
	end   time.Time // of the window
	lines map[line]int
}

type line struct {
	level           slog.Level
	message, reason string
}

func lineOf(r slog.Record) line {
	l := line{level: r.Level, message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "reason" {
			l.reason = a.Value.String()
		}
		return true
	})
	return l
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.inner.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{inner: h.inner.WithAttrs(attrs), seen: h.seen}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{inner: h.inner.WithGroup(name), seen: h.seen}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return h.inner.Handle(ctx, r)
	}
	log, left := h.seen.count(r)
	for l, n := range left {
		summary := slog.NewRecord(r.Time, l.level, "repeated lines left out", r.PC)
		summary.AddAttrs(slog.String("line", l.message), slog.Int("times", n))
		if l.reason != "" {
			summary.AddAttrs(slog.String("reason", l.reason))
		}
		if err := h.inner.Handle(ctx, summary); err != nil {
			return err
		}
	}
	if !log {
		return nil
	}
	return h.inner.Handle(ctx, r)
}

// count reports whether a line is within the limit, and what was left out of
// the window before when it has ended.
func (s *seen) count(r slog.Record) (log bool, left map[line]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.Time.Before(s.end) {
		left = s.leftOut()
		clear(s.lines)
		s.end = r.Time.Add(Window)
	}
	l := lineOf(r)
	if _, known := s.lines[l]; !known && len(s.lines) >= maxMessages {
		l = line{level: r.Level, message: "(many different messages)"}
	}
	s.lines[l]++
	return s.lines[l] <= Limit, left
}

func (s *seen) leftOut() map[line]int {
	left := make(map[line]int)
	for l, n := range s.lines {
		if n > Limit {
			left[l] = n - Limit
		}
	}
	return left
}
