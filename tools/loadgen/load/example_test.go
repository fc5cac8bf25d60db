package load_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/workload"
)

// A test of an application of your own may run a load, too.
func ExampleRun() {
	thresholds, err := load.ParseThresholds("p99<250ms,lost=0,converge<1s")
	if err != nil {
		panic(err)
	}
	report, err := load.Run(context.Background(), load.Options{
		Targets: []string{"http://localhost:8001", "http://localhost:8002"},
		Plan: workload.Plan{Seed: 7, Stages: []workload.Stage{
			{Browsers: 1000, Ramp: 5 * time.Second, Duration: 20 * time.Second, Rate: workload.Rate{{From: 10, To: 100}}},
		}},
		Thresholds: thresholds,
	})
	if err != nil {
		fmt.Println(err) // e.g. that the target does not answer
		return
	}
	if !load.Passed(report) {
		_ = load.WriteText(os.Stdout, report)
	}
}
