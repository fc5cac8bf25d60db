package main

import (
	"context"
	"log/slog"
	"sync"

	"lockstep/xray"
	"lockstep/xray/otlp"
)

// traces sends what clicks of all replicas have gone through to a collector. Nil: nobody has asked
// for it.
type traces struct {
	exporter *otlp.Exporter
	end      context.CancelFunc
	running  sync.WaitGroup
}

// startTraces starts it as the environment says. What is wrong there was meant for other programs
// too, and keeps nobody from serving.
func startTraces(getenv func(string) string, log *slog.Logger) *traces {
	o, err := otlp.FromEnvironment(getenv)
	if err != nil {
		log.Warn("traces are not sent", "err", err)
	}
	if o == nil || err != nil {
		return nil
	}
	o.Logger = log
	if o.Attributes["service.version"] == "" {
		o.Attributes["service.version"] = version()
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &traces{exporter: otlp.New(o), end: cancel}
	t.running.Go(func() { t.exporter.Run(ctx) })
	log.Info("clicks are traced", "ratio", o.Ratio)
	return t
}

// options are those of a recorder whose ops are traced.
func (t *traces) options(log *slog.Logger) *xray.Options {
	if t == nil {
		return &xray.Options{Logger: log}
	}
	return &xray.Options{Logger: log, Sample: t.exporter.Sample, Done: t.exporter.Done}
}

// stop sends what is left, and ends.
func (t *traces) stop() {
	if t != nil {
		t.end()
		t.running.Wait()
	}
}
