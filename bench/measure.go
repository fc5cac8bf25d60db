package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"

	"lockstep/bench/page"
)

// A plan is what to measure and where to write it.
type plan struct {
	subjects      []string
	tabs, rooms   []int
	runs          int
	seconds       float64 // of each flood
	markdown, svg string  // files; "" for none
	command       string  // that does it again
}

// A measure is what one run of one subject came to. A delivery is one fragment
// that has reached one tab.
type measure struct {
	CPU, User, Sys float64 // µs a delivery
	Rate           float64 // deliveries a second
	P50, P99, Last float64 // ms, at ten broadcasts a second
	Idle           float64 // KB a tab
	Join           float64 // CPU µs a tab
	Mallocs        float64 // a delivery
	Bytes          float64 // a delivery
	Lost           int64   // deliveries that left and did not arrive
}

// A cell is all runs of all subjects at one size.
type cell struct {
	tabs, rooms int
	measures    map[string][]measure // by subject
}

// run measures all sizes and writes the results.
func (p plan) run() error {
	for _, s := range p.subjects {
		if _, err := find(s); err != nil {
			return err
		}
	}
	var cells []cell
	for _, rooms := range p.rooms {
		for _, tabs := range p.tabs {
			c, err := p.measure(tabs, rooms)
			if err != nil {
				return err
			}
			cells = append(cells, c)
			fmt.Println(p.table(c))
		}
	}
	if p.svg != "" {
		if err := os.WriteFile(p.svg, []byte(p.chart(cells)), 0o644); err != nil {
			return err
		}
	}
	if p.markdown != "" {
		return page.WritePeers(p.markdown, p.document(cells))
	}
	return nil
}

// measure alternates the subjects, so that all see the same times of the
// machine.
func (p plan) measure(tabs, rooms int) (cell, error) {
	c := cell{tabs, rooms, make(map[string][]measure)}
	for range p.runs {
		for _, s := range p.subjects {
			m, err := once(s, tabs, rooms, p.seconds)
			if err != nil {
				return c, fmt.Errorf("%s with %d tabs in %d rooms: %w", s, tabs, rooms, err)
			}
			c.measures[s] = append(c.measures[s], m)
			log.Printf("%-16s %6d tabs %2d rooms: %5.2f µs (%.2f user, %.2f sys), %7.0f/s, p50 %.1f p99 %.1f last %.1f ms, join %.0f µs, %.2f KB idle, %.3f mallocs, %d lost",
				s, tabs, rooms, m.CPU, m.User, m.Sys, m.Rate, m.P50, m.P99, m.Last, m.Join, m.Idle, m.Mallocs, m.Lost)
		}
	}
	return c, nil
}

// once measures one subject with n tabs, each in a number of rooms.
func once(name string, n, rooms int, seconds float64) (m measure, err error) {
	server, err := start("0", "-serve", name, "-rooms", strconv.Itoa(rooms))
	if err != nil {
		return m, err
	}
	defer server.end()
	var g greeting
	if err := server.answer(&g); err != nil {
		return m, err
	}
	var empty, before, after, idle result
	if err := server.ask("memory", &empty); err != nil {
		return m, err
	}
	if err := server.ask("usage", &before); err != nil {
		return m, err
	}
	tabs, err := connected(g, n)
	if err != nil {
		return m, err
	}
	defer tabs.end()
	if err := server.ask("ready "+strconv.Itoa(n), &result{}); err != nil {
		return m, err
	}
	pause() // what a tab is sent first
	if err := server.ask("usage", &after); err != nil {
		return m, err
	}
	if err := server.ask("memory", &idle); err != nil {
		return m, err
	}
	m.Join = (after.User + after.Sys - before.User - before.Sys) / float64(n) * 1e6
	m.Idle = (idle.RSS - empty.RSS) / float64(n)
	return m, m.deliveries(server, tabs, seconds)
}

// connected starts the tabs of a server.
func connected(g greeting, n int, more ...string) (*child, error) {
	hello, err := json.Marshal(g.Hello)
	if err != nil {
		return nil, err
	}
	tabs, err := start("1", append([]string{"-connect", g.Addr, "-tabs", strconv.Itoa(n), "-hello", string(hello)}, more...)...)
	if err != nil {
		return nil, err
	}
	if _, err := tabs.out.ReadString('\n'); err != nil {
		tabs.end()
		return nil, err
	}
	return tabs, nil
}

// deliveries measures what is sent to tabs that are there.
func (m *measure) deliveries(server, tabs *child, seconds float64) error {
	var flooded result
	var got tally
	if err := server.ask("flood 0.5", &flooded); err != nil { // warm up
		return err
	}
	if err := tabs.settle(&got, "start"); err != nil {
		return err
	}
	if err := server.ask(fmt.Sprintf("flood %g", seconds), &flooded); err != nil {
		return err
	}
	if err := tabs.settle(&got, "timed"); err != nil {
		return err
	}
	n := float64(flooded.Deliveries)
	m.User, m.Sys = flooded.User/n*1e6, flooded.Sys/n*1e6
	m.CPU = m.User + m.Sys
	m.Rate = n / flooded.Seconds
	m.Mallocs = float64(flooded.Mallocs) / n
	m.Lost = flooded.Settled - got.Received
	m.Bytes = float64(got.Bytes) / max(float64(got.Received), 1)
	if err := server.ask("paced 3", &result{}); err != nil {
		return err
	}
	if err := tabs.settle(&got, "end"); err != nil {
		return err
	}
	m.P50, m.P99, m.Last = got.P50, got.P99, got.Last
	return nil
}

// of returns one value of all runs of a subject, in order.
func (c cell) of(subject string, f func(measure) float64) (vs []float64) {
	for _, m := range c.measures[subject] {
		vs = append(vs, f(m))
	}
	slices.Sort(vs)
	return vs
}

// median returns the median of one value over the runs of a subject.
func (c cell) median(subject string, f func(measure) float64) float64 {
	vs := c.of(subject, f)
	return vs[len(vs)/2]
}

func cpu(m measure) float64 { return m.CPU }
