package workload_test

import (
	"fmt"

	"lockstep/tools/loadgen/load/workload"
)

// A scenario has stages, each with its own number of tabs and its own rate of clicks.
func ExampleParseScenario() {
	plan, err := workload.ParseScenario([]byte(`
seed: 7
watchers: 0.8
stages:
  - {name: morning, browsers: 1000, ramp: 5s, duration: 20s, rate: 20}
  - {name: rush, browsers: 5000, ramp: 10s, duration: 30s, rate: 50..400, churn: 20}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d tabs, %v from the first click\n", plan.Slots(), plan.Length())
	for _, s := range plan.Stages {
		fmt.Printf("%s: %v clicks a second\n", s.Name, s.Rate)
	}
	// Output:
	// 5000 tabs, 1m0s from the first click
	// morning: 20 clicks a second
	// rush: 50..400 clicks a second
}

// A rate may rise evenly, or in steps of equal length.
func ExampleParseRate() {
	for _, s := range []string{"200", "100..5000", "100,200,400", "fast"} {
		r, err := workload.ParseRate(s)
		fmt.Println(r, len(r), err)
	}
	// Output:
	// 200 1 <nil>
	// 100..5000 1 <nil>
	// 100,200,400 3 <nil>
	//  0 the rate "fast" is not clicks a second: 200, a slope 100..5000 or steps 100,200,400
}
