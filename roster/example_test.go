package roster_test

import (
	"context"
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
	"lockstep/roster"
)

// Two replicas know who is at a page of either.
func ExampleRoster() {
	ctx, bus := context.Background(), mempubsub.NewBus()
	seen := make(chan roster.People, 16)
	replica := func(name string, people func(topic string, p roster.People)) *roster.Roster {
		hub := pubsub.NewHub(bus, nil)
		if err := hub.Start(ctx); err != nil {
			panic(err)
		}
		r := roster.New(hub, name, &roster.Options{Name: name, People: people})
		r.Start()
		return r
	}
	one := replica("one", func(_ string, p roster.People) { seen <- p })
	defer one.Stop()
	two := replica("two", nil)
	defer two.Stop()

	one.Enter("page", roster.Person{ID: "ann"})
	one.Enter("page", roster.Person{ID: "ann"}) // another tab of hers
	two.Enter("page", roster.Person{ID: "bob"})
	for p := range seen {
		if len(p.First) == 2 {
			fmt.Println(len(p.First), "people, and", p.Others, "others")
			break
		}
	}
	// Output: 2 people, and 0 others
}
