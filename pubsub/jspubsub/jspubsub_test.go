//go:build js

package jspubsub_test

import (
	"crypto/rand"
	"syscall/js"
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/jspubsub"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{Driver: func(testing.TB) driver.Driver { return jspubsub.New(rand.Text()) }})
}

func TestWhatIsNoMessageIsIgnored(t *testing.T) {
	name := rand.Text()
	c, err := jspubsub.New(name).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Subscribe(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	foreign := js.Global().Get("BroadcastChannel").New(name)
	defer foreign.Call("close")
	for _, m := range []any{nil, 1, "t", []any{}, []any{"t"}, []any{"t", "x"}, []any{1, 2}, map[string]any{"length": 2}} {
		foreign.Call("postMessage", m)
	}
	if err := c.Publish(t.Context(), "t", []byte("good")); err != nil {
		t.Fatal(err)
	}
	m, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Payload) != "good" || m.Topic != "t" {
		t.Errorf("got %+v", m)
	}
}

func TestABrowserWithoutChannelsIsAnError(t *testing.T) {
	channel := js.Global().Get("BroadcastChannel")
	defer js.Global().Set("BroadcastChannel", channel)
	js.Global().Set("BroadcastChannel", js.Undefined())
	if _, err := jspubsub.New("x").Open(t.Context()); err == nil {
		t.Fatal("got no error")
	}
	js.Global().Set("BroadcastChannel", js.Global().Get("Function").New("throw new DOMException('no', 'SecurityError')"))
	if _, err := jspubsub.New("x").Open(t.Context()); err == nil {
		t.Fatal("got no error of what JavaScript throws")
	}
}
