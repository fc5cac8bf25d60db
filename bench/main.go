// Command bench compares what it costs to bring one change to many tabs, in
// CPU time of the server for each delivery: Lockstep and its peers, on the
// same work in one alternated run, each subject in a process of its own pinned
// to one core, the tabs in another pinned to the other.
//
//	go run . -tabs 1000,10000 -rooms 1,16 -runs 3 -markdown results.md -svg results.svg
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run() error {
	var (
		p        plan
		tabs     = flag.String("tabs", "1000,10000", "numbers of tabs")
		rooms    = flag.String("rooms", "1", "numbers of rooms that each tab is in; all of them change at once")
		subjects = flag.String("subjects", strings.Join(names(), ","), "what to measure")
		conflate = flag.Bool("conflate", false, "measure Lockstep while one state changes ever faster, and nothing else")
		serves   = flag.String("serve", "", "internal: be the server of this subject")
		path     = flag.String("path", socketPath, "internal: where the socket of -connect is")
		connects = flag.String("connect", "", "internal: be the tabs at this address")
		lists    = flag.Bool("lists", false, "measure lists and logs, and nothing else")
		people   = flag.String("crowd", "", "replicas of the application and tabs of each, as in 10x19500: open them, click, and nothing else")
		broker   = flag.String("broker", "redis://localhost", "the broker and store of -crowd")
		mark     = flag.String("mark", string(sentinel), "internal: what tells a delivery")
		hello    = flag.String("hello", "null", "internal: messages that each tab sends, as JSON")
	)
	flag.IntVar(&p.runs, "runs", 3, "runs of each subject, alternated")
	flag.Float64Var(&p.seconds, "seconds", 4, "seconds of each flood")
	flag.StringVar(&p.markdown, "markdown", "", "file to write the results to, as Markdown")
	flag.StringVar(&p.svg, "svg", "", "file to write a chart of the results to")
	flag.Parse()
	var err error
	if p.tabs, err = numbers(*tabs); err != nil {
		return fmt.Errorf("-tabs: %w", err)
	}
	if p.rooms, err = numbers(*rooms); err != nil {
		return fmt.Errorf("-rooms: %w", err)
	}
	switch {
	case *serves != "":
		s, err := open(*serves, p.rooms[0])
		if err != nil {
			return err
		}
		return serve(s)
	case *connects != "":
		var messages []string
		if err := json.Unmarshal([]byte(*hello), &messages); err != nil {
			return fmt.Errorf("-hello: %w", err)
		}
		return client(*connects, *path, p.tabs[0], messages, *mark)
	}
	if p.runs < 1 {
		return fmt.Errorf("-runs: got %d, want 1 or more", p.runs)
	}
	p.subjects = strings.Split(*subjects, ",")
	if *lists {
		p.subjects = namesOf(listEntries())
	}
	p.command = "go run . " + strings.Join(os.Args[1:], " ")
	if *people != "" {
		c, err := parseCrowd(*people, *broker)
		if err != nil {
			return err
		}
		return c.run()
	}
	if *conflate {
		return p.conflate()
	}
	if *lists {
		return p.runLists()
	}
	return p.run()
}

// numbers parses a list of positive numbers.
func numbers(list string) (ns []int, err error) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, err
		}
		if n < 1 {
			return nil, fmt.Errorf("got %d, want 1 or more", n)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// An entry is a subject that can be measured.
type entry struct {
	name   string
	module string // whose version is reported; "" for none
	about  string
	open   func(rooms int) (subject, error)
}

// The names that the report compares with.
const (
	limitName   = "raw"
	productName = "lockstep"

	// conflatingName is Lockstep with its default frame interval, which only
	// -conflate measures.
	conflatingName = "lockstep-conflating"
)

// entries are the subjects there are.
func entries() []entry {
	return []entry{
		{limitName, "", "The limit: one loop of `write(2)` with the same bytes for each socket, and nothing else. It handles no slow tab and no message.", newRaw},
		{productName, "", "Lockstep's own path: an Echo route, a session for each tab, a room, the writer.", newProduct},
		{"gobwas-epoll", "github.com/gobwas/ws", "A compiled frame written by one loop, one epoll for what the tabs send, no goroutine and no queue for each tab. A tab that does not read stops the loop.", newGobwas},
		{"gws", "github.com/lxzan/gws", "`Broadcaster`, with the queue of each connection.", newGWS},
		{"gorilla", "github.com/gorilla/websocket", "The hub of its chat example (two goroutines and a channel of 256 for each tab) with `PreparedMessage` and `WriteBufferPool`.", newGorilla},
		{"coder", "github.com/coder/websocket", "Its chat example: a channel of 16 for each tab, a write with a timeout, `CloseRead`.", newCoder},
		{"centrifuge", "github.com/centrifugal/centrifuge", "`Node.Publish` with the default settings, the memory broker, the JSON protocol and server-side subscriptions.", newCentrifuge},
		{"centrifuge-tuned", "github.com/centrifugal/centrifuge", "The same with what its documentation has for many tabs: small read buffers, pooled write buffers, commands off the read loop, replies without queue, frames without limit; with several rooms also a write delay of 1 ms by timer.", newTunedCentrifuge},
	}
}

func names() []string { return namesOf(entries()) }

func namesOf(all []entry) (ns []string) {
	for _, e := range all {
		ns = append(ns, e.name)
	}
	return ns
}

func find(name string) (entry, error) {
	for _, e := range append(entries(), listEntries()...) {
		if e.name == name {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("no subject %q", name)
}

func open(name string, rooms int) (subject, error) {
	if name == conflatingName {
		return newConflating(rooms)
	}
	e, err := find(name)
	if err != nil {
		return nil, err
	}
	return e.open(rooms)
}
