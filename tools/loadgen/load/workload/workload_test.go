package workload_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/tools/loadgen/load/workload"
)

func TestAScenarioIsAPlan(t *testing.T) {
	got, err := workload.ParseScenario([]byte(`
seed: 7
watchers: 0.5
stages:
  - name: calm
    browsers: 100
    ramp: 5s
    duration: 10s
    rate: 50
  - {name: peak, browsers: 500, duration: 30s, rate: 100..1000, churn: 2.5}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := workload.Plan{Seed: 7, Watchers: .5, Stages: []workload.Stage{
		{Name: "calm", Browsers: 100, Ramp: 5 * time.Second, Duration: 10 * time.Second, Rate: workload.Rate{{50, 50}}},
		{Name: "peak", Browsers: 500, Duration: 30 * time.Second, Rate: workload.Rate{{100, 1000}}, Churn: 2.5},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAWrongScenarioSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "at least one stage"},
		{"stages: [{browsers: 10, duration: 10s, speed: 4}]", "speed"},
		{"stages: [{browsers: 10, duration: ten}]", "duration"},
		{"stages: [{browsers: 0, duration: 10s}]", "0 browsers"},
		{"stages: [{browsers: 10, duration: 10s, rate: fast}]", `the rate "fast"`},
		{"stages: [{browsers: 10, duration: 10s, rate: 5..}]", `the rate "5.."`},
		{"stages: [{browsers: 10, duration: 10s, rate: -5}]", "-5 clicks"},
		{"stages: [{browsers: 10, duration: 10s, rate: NaN}]", "NaN clicks"},
		{"stages: [{browsers: 10, duration: 10s, churn: 11}]", "a churn of 11"},
		{"stages: [{browsers: 10, duration: 25h}]", "a duration of 25h"},
		{"{watchers: 1, stages: [{browsers: 10, duration: 1s, rate: 5}]}", "nobody is left to click"},
		{"{slow: 7, stages: [{browsers: 10, duration: 1s}]}", "slow is 7"},
		{"[", ""},
	} {
		if _, err := workload.ParseScenario([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.text, err, c.want)
		}
	}
}
