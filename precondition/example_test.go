package precondition_test

import (
	"fmt"
	"log/slog"

	"lockstep/precondition"
)

// A store says what it finds on a server; a program shows what is so at present.
func ExamplePart() {
	store := precondition.NewPart("store", slog.New(slog.DiscardHandler))
	store.Saw("10.0.0.7:6379", "run 1", precondition.Unmet{
		Name: "appendonly", Text: "Redis keeps no append-only file: what it has acknowledged is lost when it crashes",
	})
	for _, u := range store.Unmet() {
		fmt.Println(store.Name(), u.Name)
	}
	store.Saw("10.0.0.7:6379", "run 2") // restarted, with another setting
	fmt.Println(len(store.Unmet()))
	// Output:
	// store appendonly
	// 0
}
