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

// Each change of a list leaves the list before as it was, and says what leads from one to the
// other.
func ExampleList() {
	before, _ := state.List[string]{}.Append("t1", "milk") // the ids are new
	before, _ = before.Append("t2", "tea")
	after, err := before.Insert("t3", "bread", "t1")
	if err != nil {
		fmt.Println(err)
	}
	change, _ := after.Diff(before) // texts can be written
	fmt.Println(string(change))
	same, err := before.Patch(change)
	fmt.Println(before.Len(), same.Len(), err)
	// Output:
	// {"put":[["t3","t1"]],"set":[["t3","bread"]]}
	// 2 3 <nil>
}

// A program that may be killed at any time asks first how far it has come.
func ExampleProducer() {
	type talk = state.Log[string]
	store := memstate.New(nil)
	b := state.NewBatcher(store, nil, state.Kind[talk]{Name: "talk", Actions: map[string]state.Action[talk]{
		"say": func(l talk, in state.Fields, c state.Call) (talk, error) { return l.Append(c.Op, in.Get("text")), nil },
	}})
	ctx := context.Background()
	client := state.ProducerClient([]byte("a secret of 16 bytes or more"), "model, lobby")
	words := []string{"to", "be", "or", "not"}
	for _, killedAfter := range []int{2, 4} {
		p := state.NewProducer(b, store, "talk:lobby", client, nil)
		done, err := p.Resume(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, word := range words[done:killedAfter] {
			if _, err := p.Do(ctx, "say", state.Fields{"text": {word}}); err != nil {
				fmt.Println(err)
			}
		}
		_ = p.Close(ctx) // all is answered
	}
	_ = b.Close(ctx) // as above
	first, raw, _ := store.Entries(ctx, "talk:lobby", 0, 10)
	entries, err := state.ReadEntries[string](first, raw)
	for _, e := range entries {
		fmt.Println(e.N, e.M)
	}
	fmt.Println(err)
	// Output:
	// 1 to
	// 2 be
	// 3 or
	// 4 not
	// <nil>
}
