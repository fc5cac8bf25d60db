//go:build !linux || !(amd64 || arm64)

package wslive

import (
	"errors"
	"net"
)

// Elsewhere than on Linux, on the processors that it is tried on, every
// connection is served by way of net.Conn: a goroutine reads each, and a write
// that does not leave at once has one too.

func tune(*net.TCPConn) {}

func descriptor(*net.TCPConn) int { return -1 }

func writeNow(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

func readNow(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

type poller struct{}

func newPoller() *poller { return nil }

func (p *poller) add(int, uint64) error { return errors.ErrUnsupported }

func (p *poller) rearm(int, uint64) error { return errors.ErrUnsupported }

func (p *poller) run(func(uint64)) {}

func (p *poller) close() {}
