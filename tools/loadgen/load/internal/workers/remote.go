package workers

import (
	"errors"
	"io"
	"net/http"
	"net/rpc"
	"os/exec"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// The arguments of the calls from parent to worker, by net/rpc. It wants exported types, and gob no
// empty struct.
type (
	// A Share says which tabs are a worker's. The rest it knows from its own options.
	Share struct {
		Plan      workload.Plan // in place of that of the options
		Header    http.Header   // likewise: it may be a secret, which no list of processes must have
		Index, Of int           // one of so many
	}
	// LoadArgs are the arguments of Worker.Load.
	LoadArgs struct {
		At     time.Time
		Before []protocol.State
	}
	// Empty is an argument or a result that says nothing.
	Empty bool
)

// serviceName is what the methods of a service are called by.
const serviceName = "Worker"

// A remote is a worker in another process.
type remote struct {
	cmd    *exec.Cmd
	client *rpc.Client
}

// pipes are the two directions of a connection between processes.
type pipes struct {
	io.Reader
	io.WriteCloser
}

// startRemote starts a process that calls Serve, and gives it its share.
func startRemote(cmd *exec.Cmd, share Share) (*remote, error) {
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
	r := &remote{cmd: cmd, client: rpc.NewClient(pipes{out, in})}
	if err := r.call("Start", share, new(Empty)); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *remote) call(method string, argument, result any) error {
	return r.client.Call(serviceName+"."+method, argument, result)
}

// Join implements Worker.
func (r *remote) Join() error { return r.call("Join", Empty(false), new(Empty)) }

// Load implements Worker.
func (r *remote) Load(at time.Time, before []protocol.State) error {
	return r.call("Load", LoadArgs{at, before}, new(Empty))
}

// Unload implements Worker.
func (r *remote) Unload() error { return r.call("Unload", Empty(false), new(Empty)) }

// Observe implements Worker.
func (r *remote) Observe() (o Observed, err error) {
	err = r.call("Observe", Empty(false), &o)
	return o, err
}

// Behind implements Worker.
func (r *remote) Behind(wanted []protocol.State) (tabs []browser.Tab, err error) {
	err = r.call("Behind", wanted, &tabs)
	return tabs, err
}

// Close implements Worker. The process ends with its input.
func (r *remote) Close() error {
	_ = r.client.Close() // its end is the process's
	return r.cmd.Wait()
}

// Serve makes this process a worker. Its parent says over in which plan and share of c it has; it
// writes nothing but answers to out, and returns when in has ended.
func Serve(c browser.Config, in io.Reader, out io.WriteCloser) error {
	s := &service{config: c}
	server := rpc.NewServer()
	if err := server.RegisterName(serviceName, s); err != nil {
		return err
	}
	server.ServeConn(pipes{in, out})
	if s.fleet != nil {
		s.fleet.Close()
	}
	return nil
}

// A service is what a worker offers its parent. Start comes first.
type service struct {
	config browser.Config
	local
}

// Start opens nothing yet, but has all that is needed for it.
func (s *service) Start(share Share, _ *Empty) (err error) {
	s.config.Plan, s.config.Header = &share.Plan, share.Header
	s.config.Index, s.config.Of = share.Index, share.Of
	s.fleet, err = browser.New(s.config)
	return err
}

// Join is Worker.Join.
func (s *service) Join(Empty, *Empty) error { return s.local.Join() }

// Load is Worker.Load.
func (s *service) Load(a LoadArgs, _ *Empty) error { return s.local.Load(a.At, a.Before) }

// Unload is Worker.Unload.
func (s *service) Unload(Empty, *Empty) error { return s.local.Unload() }

// Observe is Worker.Observe.
func (s *service) Observe(_ Empty, o *Observed) (err error) {
	*o, err = s.local.Observe()
	return err
}

// Behind is Worker.Behind.
func (s *service) Behind(wanted []protocol.State, tabs *[]browser.Tab) (err error) {
	*tabs, err = s.local.Behind(wanted)
	return err
}
