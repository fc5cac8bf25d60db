package pages_test

import (
	"bytes"
	"testing"

	"lockstep/app/pages"
)

// BenchmarkCounterView is what one change of a counter costs to render, for all
// tabs together.
func BenchmarkCounterView(b *testing.B) {
	var out bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		c := pages.Counter{Name: "lobby", Topic: "counter:lobby", N: 1234567, Epoch: 1, Version: 2345678, Known: true}
		if err := pages.CounterView(c).Render(b.Context(), &out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCounterPage is what one page costs to render.
func BenchmarkCounterPage(b *testing.B) {
	var out bytes.Buffer
	p := pages.Page{
		Kind: "counter", Name: "lobby", Replica: "one", State: pages.Connecting, Tabs: 3, Socket: "/ws/rooms?in=counter%3Alobby",
	}
	c := pages.Counter{Name: "lobby", Topic: "counter:lobby", N: 1234567, Epoch: 1, Version: 2345678, Known: true}
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := pages.CounterPage(p, c).Render(b.Context(), &out); err != nil {
			b.Fatal(err)
		}
	}
}
