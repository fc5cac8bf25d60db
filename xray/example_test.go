package xray_test

import (
	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
	"lockstep/xray"
)

// An application whose clicks people can look at.
func ExampleNew() {
	recorder := xray.New(nil)
	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), &lockstep.Options{Hooks: recorder})
	recorder.Follow(app) // before Start
}
