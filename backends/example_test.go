package backends_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/backends"
)

// A program of one replica keeps its states in a file; the same program has any number of replicas
// when the URL is one of a server.
func ExampleOpen() {
	ctx := context.Background()
	app, err := backends.Open(ctx, "mem:", nil) // "file:data/app.db", "redis://host", "postgres://host/db"
	if err != nil {
		fmt.Println(err)
		return
	}
	type hits struct{ N int }
	lockstep.Share(app, "hits", func(h hits) templ.Component { return templ.Raw(fmt.Sprint(h.N)) })
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(app.Kinds())
	fmt.Println(app.Stop(ctx, 0)) // and closes the store
	// Output:
	// [hits]
	// <nil>
}

func ExampleCheckBoth() {
	what, todo, _ := strings.Cut(backends.CheckBoth("redis://cache", "file:app.db").Error(), "; ")
	fmt.Println(what)
	fmt.Println(todo)
	// Output:
	// backends: file: is this process's own, but redis: is shared by several replicas
	// give them a store that they can share
}
