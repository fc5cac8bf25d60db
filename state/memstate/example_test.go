package memstate_test

import (
	"context"
	"fmt"

	"lockstep/state"
	"lockstep/state/memstate"
)

// A store for tests: what is done to it is done for as long as it lives.
func ExampleNew() {
	ctx, store := context.Background(), memstate.New(nil)
	hits := state.Kind[int]{Name: "hits", Actions: map[string]state.Action[int]{
		"hit": func(n int, _ state.Fields, _ state.Call) (int, error) { return n + 1, nil },
	}}
	b := state.NewBatcher(store, nil, hits)
	answer, err := b.Apply(ctx, nil, "hits:lobby", state.Op{Client: state.Client{1}, Seq: 1, From: 1, Do: "hit"})
	fmt.Println(answer.Verdict, err)
	records, err := store.Read(ctx, "hits:lobby")
	n, _ := hits.Read(records[0].Data) // the batcher has written it
	fmt.Println(n, err, b.Close(ctx), store.Close())
	// Output:
	// ack <nil>
	// 1 <nil> <nil> <nil>
}
