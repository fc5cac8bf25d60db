package natsembedded

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// said is a server.Logger: it passes on what a server says, and remembers what ends it.
type said struct {
	log *slog.Logger

	mu          sync.Mutex // guards the rest
	end, failed error
}

// Noticef implements server.Logger.
func (s *said) Noticef(format string, v ...any) { s.say(s.log.Debug, format, v) }

// Warnf is for what passes by itself, such as that a peer can't be reached.
func (s *said) Warnf(format string, v ...any) { s.say(s.log.Info, format, v) }

// Errorf implements server.Logger.
func (s *said) Errorf(format string, v ...any) {
	text := s.say(s.log.Warn, format, v)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.New(text)
}

// Fatalf is what a server calls where a program of its own would end.
func (s *said) Fatalf(format string, v ...any) {
	text := s.say(s.log.Error, format, v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = errors.New(text)
	}
}

// Debugf implements server.Logger. It says more than anybody wants to know.
func (s *said) Debugf(string, ...any) {}

// Tracef implements server.Logger, as Debugf does.
func (s *said) Tracef(string, ...any) {}

func (s *said) say(log func(string, ...any), format string, v []any) string {
	text := fmt.Sprintf(format, v...)
	log("the embedded NATS server says", "says", text)
	return text
}

// fatal is what has ended the server, or nil.
func (s *said) fatal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// last is the last error that it has said, or nil.
func (s *said) last() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
