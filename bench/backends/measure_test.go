package backends_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/backends"
	"lockstep/bench/page"
	"lockstep/natsembedded"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/snssqspubsub"
)

// rounds is how often each is measured: the median counts.
const rounds = 3

// schemes are those of all brokers and stores.
func schemes() []string { return append(backends.BrokerSchemes(), backends.StoreSchemes()...) }

// TestMeasure measures every broker, one after the other, where LOCKSTEP_BACKENDS says so, and
// writes the figures and the table where it says "write". It is no benchmark: these can't run
// others, and this one runs those of drivertest.
func TestMeasure(t *testing.T) {
	what := os.Getenv("LOCKSTEP_BACKENDS")
	if what == "" {
		t.Skip(`LOCKSTEP_BACKENDS is not set: "make bench-backends" sets it`)
	}
	now := run{Machine: page.Machine(), Load: page.Load(), Figures: make(map[string]figure)}
	for _, r := range rows() {
		if r.start == nil {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			f := measure(t, r)
			t.Logf("%.0f messages/s, round trip %s", f.PerSecond, f.RoundTrip)
			now.Figures[r.name] = f
		})
	}
	if what != "write" || t.Failed() {
		return
	}
	text, err := json.MarshalIndent(now, "", "\t")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(figuresFile), 0o750)
	}
	if err == nil {
		err = os.WriteFile(figuresFile, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, now)
}

// measure measures one broker. What replicas say is not signed: that costs the same everywhere.
func measure(t *testing.T, r row) figure {
	d, err := backends.Driver(r.start(t), &backends.Options{
		Brokers: map[string]func(string, backends.Options) (driver.Driver, error){
			"snssqs": func(url string, o backends.Options) (driver.Driver, error) {
				return snssqspubsub.NewDriver(url, &snssqspubsub.Options{Name: o.Prefix})
			},
			"nats-embedded": func(url string, _ backends.Options) (driver.Driver, error) {
				_, dir, _ := strings.Cut(url, ":")
				s, err := natsembedded.Start(&natsembedded.Options{Dir: dir})
				if err != nil {
					return nil, err
				}
				t.Cleanup(s.Stop)
				return s.Driver()
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var trips []time.Duration
	var rates []float64
	for range rounds {
		one := testing.Benchmark(func(b *testing.B) { drivertest.BenchmarkRoundTrip(b, d) })
		many := testing.Benchmark(func(b *testing.B) { drivertest.BenchmarkThroughput(b, d) })
		if one.N == 0 || many.N == 0 {
			t.Fatal("it could not be measured")
		}
		trips = append(trips, one.T/time.Duration(one.N))
		rates = append(rates, float64(many.N)/many.T.Seconds())
	}
	slices.Sort(trips)
	slices.Sort(rates)
	return figure{PerSecond: rates[rounds/2], RoundTrip: trips[rounds/2]}
}
