package main

import (
	"fmt"
	"log"
	"strconv"
	"strings"
	"time"
)

// conflationRates are how many changes of one state are made in a second.
func conflationRates() []int { return []int{10, 100, 1000, 10_000} }

// conflationTime is how long each rate lasts, in seconds.
const conflationTime = 5

// A conflation is what came of one rate of changes.
type conflation struct {
	rate     int
	load     float64 // CPU seconds in a second
	frames   float64 // a second, that each tab got
	p50, p99 float64 // ms from a change that was shown to its arrival
}

// conflate measures Lockstep with its default frame interval while one state
// changes ever faster.
func (p plan) conflate() error {
	n := p.tabs[len(p.tabs)-1]
	var rows []conflation
	server, err := start("0", "-serve", conflatingName)
	if err != nil {
		return err
	}
	defer server.end()
	var g greeting
	if err := server.answer(&g); err != nil {
		return err
	}
	tabs, err := connected(g, n)
	if err != nil {
		return err
	}
	defer tabs.end()
	if err := server.ask("ready "+strconv.Itoa(n), &result{}); err != nil {
		return err
	}
	for _, rate := range conflationRates() {
		row, err := conflateAt(server, tabs, rate, n)
		if err != nil {
			return err
		}
		log.Printf("%6d changes/s, %d tabs: %.2f CPU, %.1f frames/s, p50 %.1f p99 %.1f ms", rate, n, row.load, row.frames, row.p50, row.p99)
		rows = append(rows, row)
	}
	fmt.Print(conflationTable(n, rows))
	return nil
}

func conflateAt(server, tabs *child, rate, n int) (row conflation, err error) {
	var got tally
	if err := tabs.settle(&got, "timed"); err != nil {
		return row, err
	}
	var r result
	if err := server.ask("updates "+strconv.Itoa(rate), &r); err != nil {
		return row, err
	}
	if err := tabs.settle(&got, "end"); err != nil {
		return row, err
	}
	return conflation{rate, (r.User + r.Sys) / r.Seconds, float64(got.Received) / float64(n) / r.Seconds, got.P50, got.P99}, nil
}

// updates sends a number of payloads a second, whether they leave or not.
func updates(s subject, rate float64) (r result, err error) {
	user, sys := usage()
	began := time.Now()
	for sent := 0.0; ; {
		passed := time.Since(began).Seconds()
		if passed >= conflationTime {
			break
		}
		for ; sent < passed*rate; sent++ {
			if err := s.send(stamped()); err != nil {
				return r, err
			}
		}
		time.Sleep(time.Millisecond)
	}
	r.Seconds = time.Since(began).Seconds()
	r.User, r.Sys = usage()
	r.User, r.Sys = r.User-user, r.Sys-sys
	return r, nil
}

func conflationTable(n int, rows []conflation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| changes/s of one state, %s tabs | CPU of the server | frames/s at each tab | p50 / p99 ms from change to tab |\n|---:|---:|---:|---:|\n", thousands(n))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %.0f %% | %.1f | %.0f / %.0f |\n", thousands(r.rate), r.load*100, r.frames, r.p50, r.p99)
	}
	return b.String()
}
