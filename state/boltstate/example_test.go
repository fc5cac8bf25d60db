package boltstate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lockstep/state/boltstate"
)

// A file that is made when it is not there.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := boltstate.Open(filepath.Join(dir, "data", "shop.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	records, err := store.Read(context.Background(), "lunch:today") // nobody has written it
	fmt.Println(len(records), records[0].Version, err, store.Close())
	// Output: 1 0 <nil> <nil>
}
