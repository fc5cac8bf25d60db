package main

import (
	"io"
	"log/slog"

	"lockstep/internal/loglimit"
	"lockstep/serve/settings"
)

// logFlags say how much is logged.
type logFlags struct{ LogLevel string }

func (l *logFlags) define(fs *settings.Set) {
	fs.Text(&l.LogLevel, "log-level", "info", "`level` of the log on standard error: debug, info, warn or error")
}

func (l *logFlags) check() error {
	switch l.LogLevel {
	case "debug", "info", "warn", "error":
		return nil
	}
	return settings.Wrong("-log-level: %q is not debug, info, warn or error", l.LogLevel)
}

// logger returns a logger that writes to w.
func (l *logFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.LogLevel)) // check has seen to it
	return slog.New(loglimit.NewHandler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})))
}
