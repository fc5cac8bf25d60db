package state_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep/state"
	"lockstep/state/memstate"
)

// A shopping is a state of one's own.
type shopping struct {
	Items []string `json:"items"`
}

// shoppings is its kind: what can be done to it.
func shoppings() state.Kind[shopping] {
	type item struct{ Text string } // the field "text" of a form
	return state.Kind[shopping]{
		Name: "shopping",
		Actions: map[string]state.Action[shopping]{
			"add": state.Do(func(s shopping, in item, _ state.Call) (shopping, error) {
				if in.Text == "" {
					return s, errors.New("write what is to be bought")
				}
				return shopping{append(slices.Clone(s.Items), in.Text)}, nil
			}),
		},
	}
}

// A kind of one's own, over a store in memory: what is sent again counts once,
// and what is refused is refused with its reason.
func ExampleKind() {
	ctx := context.Background()
	store := memstate.New(nil)
	b := state.NewBatcher(store, nil, shoppings())

	page := state.Client{1} // crypto/rand, in earnest
	milk := state.Op{Client: page, Seq: 1, From: 1, Do: "add", In: state.Fields{"text": {"milk"}}}
	nothing := state.Op{Client: page, Seq: 2, From: 1, Do: "add"}
	for _, op := range []state.Op{milk, milk, nothing} { // the first answer was lost
		answer, err := b.Apply(ctx, nil, "shopping:home", op)
		fmt.Println(answer.Verdict, answer.Again, answer.Reason, err)
	}

	records, _ := store.Read(ctx, "shopping:home") // a store in memory always can be
	home, _ := shoppings().Read(records[0].Data)   // the batcher has written it
	fmt.Println(home.Items, b.Close(ctx), store.Close())
	// Output:
	// ack false  <nil>
	// ack true  <nil>
	// refused false write what is to be bought <nil>
	// [milk] <nil> <nil>
}
