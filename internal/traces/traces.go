// Package traces has a program send what its clicks have gone through to a collector, where the
// environment asks for that: it joins packages xray and xray/otlp, and owns the goroutine that
// sends.
package traces

import (
	"context"
	"log/slog"
	"sync"

	"lockstep/xray"
	"lockstep/xray/otlp"
)

// Traces are those of all replicas of a process. Nil: nobody has asked for them.
type Traces struct {
	exporter *otlp.Exporter
	end      context.CancelFunc
	running  sync.WaitGroup
}

// Start starts to send traces as the environment says; see otlp.FromEnvironment. version is that
// of the program, where the environment names no other; "": it has none. What is wrong there was
// meant for other programs too, and keeps nobody from serving: it is logged.
func Start(getenv func(string) string, version string, log *slog.Logger) *Traces {
	o, err := otlp.FromEnvironment(getenv)
	if err != nil {
		log.Warn("traces are not sent", "err", err)
	}
	if o == nil || err != nil {
		return nil
	}
	o.Logger = log
	if version != "" && o.Attributes["service.version"] == "" {
		o.Attributes["service.version"] = version
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Traces{exporter: otlp.New(o), end: cancel}
	t.running.Go(func() { t.exporter.Run(ctx) })
	log.Info("clicks are traced", "ratio", o.Ratio)
	return t
}

// Options are those of a recorder whose ops are traced, or with nil of one that a person looks at.
func (t *Traces) Options(log *slog.Logger) *xray.Options {
	if t == nil {
		return &xray.Options{Logger: log}
	}
	return &xray.Options{Logger: log, Sample: t.exporter.Sample, Done: t.exporter.Done}
}

// Stop sends what is left, and ends.
func (t *Traces) Stop() {
	if t != nil {
		t.end()
		t.running.Wait()
	}
}
