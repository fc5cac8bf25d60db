package main

import (
	"io"
	"log/slog"

	"lockstep/internal/loglimit"
)

// logFlags say how much is logged.
type logFlags struct{ LogLevel string }

func (l *logFlags) define(fs *flagSet) {
	fs.text(&l.LogLevel, "log-level", "info", "`level` of the log on standard error: debug, info, warn or error")
}

func (l *logFlags) check() error {
	switch l.LogLevel {
	case "debug", "info", "warn", "error":
		return nil
	}
	return usageError("-log-level: %q is not debug, info, warn or error", l.LogLevel)
}

// logger returns a logger that writes to w.
func (l *logFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.LogLevel)) // check has seen to it
	return slog.New(loglimit.NewHandler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})))
}
