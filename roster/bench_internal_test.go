package roster

import (
	"fmt"
	"testing"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
)

// BenchmarkQuietSecond is what a replica does in a second in which nobody moves. 10 ms are a
// hundredth of a core.
func BenchmarkQuietSecond(b *testing.B) {
	for _, people := range []int{10, 10_000} {
		b.Run(fmt.Sprint(people), func(b *testing.B) {
			hub := pubsub.NewHub(mempubsub.NewBus(), nil)
			if err := hub.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			r := New(hub, "a", nil) // not started: what it tells goes nowhere
			for i := range people {
				r.Enter("counter:lobby", Person{ID: fmt.Sprint("person-", i)})
			}
			now := time.Now()
			for b.Loop() {
				r.announceSelf()
				r.seeReplicas(now)
				for range announce / beat {
					now = now.Add(beat)
					r.tendCrowds(now)
				}
				r.seeTopic("counter:lobby", now)
			}
		})
	}
}
