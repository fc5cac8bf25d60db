package web

import (
	"context"
	"io"
)

// An xray is what shows people how far their clicks come: a component that can be compared, as
// pages are. The program for browsers has none.
type xray struct{ Script, Style string } // paths

// Render implements templ.Component.
func (x xray) Render(ctx context.Context, w io.Writer) error { return xrayOf(x).Render(ctx, w) }

// A hop is a part of a click's way, as package xray and static/tab/flights.js name it.
type hop struct{ name, text string }

// hops are all of them, in their order.
func hops() []hop {
	return []hop{
		{"network", "browser and network"},
		{"queue", "waits for its turn"},
		{"store", "is saved in the store"},
		{"wait", "waits to be shown"},
		{"render", "becomes HTML"},
		{"write", "is written to this tab"},
		{"paint", "comes onto the screen"},
	}
}
