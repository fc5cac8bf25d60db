//go:build js

package idbstate_test

import (
	"context"
	"log"

	"lockstep/state/idbstate"
)

// Every tab of an origin opens the same database.
func ExampleNew() {
	store := idbstate.New("shop", nil)
	defer store.Close()
	records, err := store.Read(context.Background(), "lunch:today")
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(records[0].Version)
}
