package dev

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a server may take to begin, or to end.
const patience = 15 * time.Second

// A server is the process that tabs are shown. Its methods are called one at a
// time.
type server struct {
	args  []string
	env   []string    // beside that of this process
	ended func(error) // called when it ends by itself

	process *process // nil: never started
}

// A process is one run of a server.
type process struct {
	addr string // where it listens
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	said tail

	expected atomic.Bool // to end
}

// up reports whether the server runs.
func (s *server) up() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.process.done:
		return false
	default:
		return true
	}
}

// start runs a program on a free port, which the variable ADDR tells it, waits until it answers
// there, and returns where that is. The program is killed when ctx ends.
func (s *server) start(ctx context.Context, program string) (addr string, err error) {
	addr, err = freeAddr(ctx)
	if err != nil {
		return "", err
	}
	p := &process{addr: addr, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, program, s.args...)
	p.cmd.Env = append(append(os.Environ(), s.env...), "ADDR="+addr)
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, io.MultiWriter(os.Stderr, &p.said)
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return "", err
	}
	go func() { // ends with the process
		_ = p.cmd.Wait() // what it says is also in ProcessState
		close(p.done)
		if !p.expected.Load() {
			s.ended(fmt.Errorf("the server has ended: %s\n%s", p.cmd.ProcessState, p.said.String()))
		}
	}()
	s.process = p
	if err := p.await(ctx); err != nil {
		s.stop()
		return "", err
	}
	return addr, nil
}

// freeAddr returns an address of the loopback that is free. Each process has
// its own: the port of one that has ended may be another's by then.
func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the process answers.
func (p *process) await(ctx context.Context) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !p.answers(ctx) {
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("the server does not start: %s\n%s", p.cmd.ProcessState, p.said.String())
		case <-limit.C:
			return fmt.Errorf("the server does not answer on %s, which the variable ADDR has told it", p.addr)
		}
	}
	return nil
}

func (p *process) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/healthz", nil)
	if err != nil {
		return false
	}
	req.Close = true                                  // once is enough
	resp, err := http.DefaultTransport.RoundTrip(req) // which goes nowhere else
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // only the status counts
	return resp.StatusCode < http.StatusInternalServerError
}

// stop ends the server, at first gracefully, and waits for its end.
func (s *server) stop() {
	p := s.process
	if p == nil {
		return
	}
	p.expected.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // as above
		<-p.done
	}
}

// A tail is the end of what was written to it.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

// tailSize is how much a tail keeps, in bytes.
const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
