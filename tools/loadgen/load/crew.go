package load

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os/exec"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// A crew is a share of the tabs: of this process or of another.
type crew interface {
	join() error
	load(at time.Time, before []int64) error
	unload() error
	observe() (Watch, error)
	behind(wanted []protocol.State) ([]browser.Tab, error)
	close() error
}

// A Watch is what a crew has seen, and what it needed for that so far.
type Watch struct {
	Loops  []browser.Observation
	CPU    time.Duration
	Memory float64 // MB, at most
}

// fleet starts the tabs of a share.
func (s *settings) fleet(index, of int) (*browser.Fleet, error) {
	return browser.New(browser.Config{
		Targets: s.targets, Protocol: s.Protocol, Plan: &s.Plan, Counters: s.Counters, Index: index, Of: of,
		Repeat: s.Repeat, TLS: s.TLS, Plain: s.plain, Sources: s.sources,
	})
}

// crews are all tabs of the load. On an error there are none.
func (s *settings) crews() ([]crew, error) {
	if s.processes == 1 {
		f, err := s.fleet(0, 1)
		if err != nil {
			return nil, err
		}
		return []crew{here{f}}, nil
	}
	var all []crew
	for i := range s.processes {
		c, err := startWorker(s.Worker(), Share{Plan: s.Plan, Index: i, Of: s.processes})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load: worker %d: %w", i, err), closeAll(all))
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(crews []crew) error {
	var errs []error
	for _, c := range crews {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// here is a crew of this process.
type here struct{ *browser.Fleet }

func (h here) join() error                        { h.Join(); return nil }
func (h here) load(at time.Time, b []int64) error { h.Load(at, b); return nil }
func (h here) unload() error                      { h.Unload(); return nil }
func (h here) close() error                       { h.Close(); return nil }

func (h here) behind(wanted []protocol.State) ([]browser.Tab, error) { return h.Behind(wanted), nil }

func (h here) observe() (Watch, error) {
	w := Watch{Loops: h.Observe()}
	w.CPU, w.Memory = usage()
	return w, nil
}

// A worker is a crew of another process, which is asked over its standard input and output.
type worker struct {
	cmd    *exec.Cmd
	client *rpc.Client
}

// pipes are the two directions of a connection to a process.
type pipes struct {
	io.Reader
	io.WriteCloser
}

func startWorker(cmd *exec.Cmd, share Share) (*worker, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, client: rpc.NewClient(pipes{out, in})}
	if err := w.client.Call("Tabs.Start", share, new(Nothing)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// A service is what a worker offers, by net/rpc. Start comes first.
type service struct {
	settings settings
	crew     here
}

// A Share is what a worker is to do: the rest it knows from its own options.
type Share struct {
	Plan      workload.Plan // in place of that of the options
	Index, Of int
}

// Nothing is an argument or a result that says nothing. (gob needs a field.)
type Nothing struct{ Nothing bool }

// A Beginning is when the first click may be due, and what the counters had before.
type Beginning struct {
	At     time.Time
	Before []int64
}

// Start opens nothing yet, but has all that is needed for it.
func (s *service) Start(share Share, _ *Nothing) (err error) {
	s.settings.Plan = share.Plan
	s.crew.Fleet, err = s.settings.fleet(share.Index, share.Of)
	return err
}

// Join is crew.join.
func (s *service) Join(Nothing, *Nothing) error { return s.crew.join() }

// Load is crew.load.
func (s *service) Load(a Beginning, _ *Nothing) error { return s.crew.load(a.At, a.Before) }

// Unload is crew.unload.
func (s *service) Unload(Nothing, *Nothing) error { return s.crew.unload() }

// Observe is crew.observe.
func (s *service) Observe(_ Nothing, w *Watch) (err error) {
	*w, err = s.crew.observe()
	return err
}

// Behind is crew.behind.
func (s *service) Behind(wanted []protocol.State, tabs *[]browser.Tab) (err error) {
	*tabs, err = s.crew.behind(wanted)
	return err
}

// Work runs a share of the tabs of a load whose Options.Worker started this process with the same
// options. It ends when in does, and writes nothing but answers to out.
func Work(o Options, in io.Reader, out io.WriteCloser) error {
	s, err := o.check()
	if err != nil {
		return err
	}
	tabs := &service{settings: s}
	server := rpc.NewServer()
	if err := server.RegisterName("Tabs", tabs); err != nil {
		return err
	}
	server.ServeConn(pipes{in, out})
	if tabs.crew.Fleet != nil {
		tabs.crew.Close()
	}
	return nil
}

func (w *worker) join() error   { return w.client.Call("Tabs.Join", Nothing{}, new(Nothing)) }
func (w *worker) unload() error { return w.client.Call("Tabs.Unload", Nothing{}, new(Nothing)) }
func (w *worker) load(at time.Time, before []int64) error {
	return w.client.Call("Tabs.Load", Beginning{at, before}, new(Nothing))
}

func (w *worker) observe() (seen Watch, err error) {
	err = w.client.Call("Tabs.Observe", Nothing{}, &seen)
	return seen, err
}

func (w *worker) behind(wanted []protocol.State) (tabs []browser.Tab, err error) {
	err = w.client.Call("Tabs.Behind", wanted, &tabs)
	return tabs, err
}

// close ends the process: it ends with its input.
func (w *worker) close() error {
	_ = w.client.Close() // its end is the process's
	return w.cmd.Wait()
}
