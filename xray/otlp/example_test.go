package otlp_test

import (
	"context"
	"log"
	"os"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
	"lockstep/xray"
	"lockstep/xray/otlp"
)

// An application whose clicks are traces, where the environment has a collector.
func ExampleFromEnvironment() {
	opts, err := otlp.FromEnvironment(os.Getenv)
	if err != nil {
		log.Print("no traces: ", err)
	}
	var follow xray.Options
	if opts != nil {
		exporter := otlp.New(opts)
		follow = xray.Options{Sample: exporter.Sample, Done: exporter.Done}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()       // at the end of the program
		go exporter.Run(ctx) // ends with ctx
	}
	recorder := xray.New(&follow)
	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), &lockstep.Options{Hooks: recorder})
	recorder.Follow(app) // before Start
}
