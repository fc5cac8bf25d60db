package lockstep_test

import (
	"context"
	"fmt"
	"strconv"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// Votes are a state of one's own.
type votes struct{ Tea, Coffee int }

// A state, what it looks like, and what can be done to it. Pages show Shared.At as a component and
// act by Room.Form; here a program acts from outside of any page.
func ExampleShare() {
	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
	lunch := lockstep.Share(app, "lunch", func(v votes) templ.Component {
		return templ.Raw("<output>" + strconv.Itoa(v.Tea) + " : " + strconv.Itoa(v.Coffee) + "</output>")
	})
	type vote struct{ For string } // the field "for" of a form
	lockstep.On(lunch, "vote", func(v votes, in vote, _ lockstep.Call) (votes, error) {
		switch in.For {
		case "tea":
			v.Tea++
		case "coffee":
			v.Coffee++
		default:
			return v, lockstep.Refused("vote for tea or coffee")
		}
		return v, nil
	})
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, in := range []vote{{"tea"}, {"water"}} {
		fmt.Println(lunch.Do(ctx, "today", "vote", in, lockstep.Doing{}))
	}
	today, err := lunch.Read(ctx, "today")
	fmt.Println(today, err)
	fmt.Println(app.Stop(ctx, 0))
	// Output:
	// <nil>
	// vote for tea or coffee
	// {1 0} <nil>
	// <nil>
}

// A list has items with ids: tabs are sent those that have changed.
func ExampleListing() {
	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
	todo := lockstep.Listing(app, "todo", func(i lockstep.Item[string]) templ.Component {
		return templ.Raw("<li>" + templ.EscapeString(i.Value) + "</li>")
	})
	lockstep.OnList(todo, "add", func(l state.List[string], in struct{ Text string }, c lockstep.Call) (state.List[string], error) {
		return l.Append(c.Op, in.Text)
	})
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"milk", "tea"} {
		if err := todo.Do(ctx, "home", "add", struct{ Text string }{text}, lockstep.Doing{}); err != nil {
			fmt.Println(err)
		}
	}
	items, err := todo.Read(ctx, "home")
	for _, item := range items.All() {
		fmt.Println(item)
	}
	fmt.Println(err, app.Stop(ctx, 0))
	// Output:
	// milk
	// tea
	// <nil> <nil>
}
