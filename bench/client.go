package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// socketPath is where the subjects have their socket.
const socketPath = "/ws/c/room"

// A tally is what the client process has received since it was last asked.
type tally struct {
	Received int64
	Bytes    int64   // of all that was received, with what frames it
	P50, P99 float64 // ms from send to receipt, of all deliveries
	Last     float64 // ms, median over broadcasts, to the last tab
}

// client opens n tabs at a path of addr and counts what they get, with one thread and no
// state for each: it must never slow the server.
func client(addr, path string, n int, hello []string, mark string) error {
	fds, err := connectAll(addr, path, n, hello)
	if err != nil {
		return err
	}
	ep, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	fmt.Println("connected")
	asked := make(chan string, 1)
	go func() { // ends with the process
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			asked <- in.Text()
		}
		close(asked)
	}()
	c := counter{mark: []byte(mark), last: make(map[int64]float64)}
	events, buffer := make([]syscall.EpollEvent, 512), make([]byte, 1<<16)
	for {
		k, err := syscall.EpollWait(ep, events, 50)
		if err != nil && err != syscall.EINTR {
			return err
		}
		for _, e := range events[:max(k, 0)] {
			if m, err := syscall.Read(int(e.Fd), buffer); err == nil && m > 0 {
				c.take(buffer[:m])
			} else if err != syscall.EAGAIN {
				_ = syscall.EpollCtl(ep, syscall.EPOLL_CTL_DEL, int(e.Fd), nil)
			}
		}
		select {
		case what, ok := <-asked:
			if !ok {
				return nil
			}
			if err := c.answer(what); err != nil {
				return err
			}
		default:
		}
	}
}

type counter struct {
	mark   []byte // what is in every delivery once; nothing else is looked at unless timed
	n      int64
	bytes  int64
	timed  bool
	delays []float64
	last   map[int64]float64 // by stamp
}

func (c *counter) take(b []byte) {
	c.bytes += int64(len(b))
	if !c.timed {
		c.n += int64(bytes.Count(b, c.mark))
		return
	}
	now := monotonic()
	for {
		i := bytes.IndexByte(b, sentinel)
		if i < 0 || len(b) < i+20 {
			return
		}
		c.n++
		stamp, _ := strconv.ParseInt(string(b[i+1:i+20]), 10, 64)
		ms := float64(now-stamp) / 1e6
		c.delays = append(c.delays, ms)
		c.last[stamp] = max(c.last[stamp], ms)
		b = b[i+20:]
	}
}

// answer says what was received, and begins anew: "timed" with the delays.
func (c *counter) answer(what string) error {
	t := tally{Received: c.n, Bytes: c.bytes}
	if len(c.delays) > 0 {
		slices.Sort(c.delays)
		t.P50, t.P99 = c.delays[len(c.delays)/2], c.delays[len(c.delays)*99/100]
		var lasts []float64
		for _, ms := range c.last {
			lasts = append(lasts, ms)
		}
		slices.Sort(lasts)
		t.Last = lasts[len(lasts)/2]
	}
	*c = counter{mark: c.mark, timed: what == "timed", last: make(map[int64]float64)}
	return json.NewEncoder(os.Stdout).Encode(t)
}

// connectAll upgrades n connections, some at a time, and returns descriptors.
func connectAll(addr, path string, n int, hello []string) ([]int, error) {
	fds := make([]int, n)
	errs := make([]error, n)
	slots := make(chan struct{}, 32)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			fds[i], errs[i] = connect(addr, path, hello)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return fds, nil
}

func connect(addr, path string, hello []string) (int, error) {
	c, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, addr); err != nil {
		return 0, err
	}
	// Byte by byte: what follows the headers is for the epoll.
	var head strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := c.Read(one); err != nil {
			return 0, err
		}
		head.WriteByte(one[0])
	}
	if !strings.HasPrefix(head.String(), "HTTP/1.1 101") {
		return 0, fmt.Errorf("got %q, want %d", head.String(), http.StatusSwitchingProtocols)
	}
	for _, m := range hello {
		if _, err := c.Write(masked(m)); err != nil {
			return 0, err
		}
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return 0, err
	}
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return 0, err
	}
	_ = f.Close() // dup lives
	return fd, syscall.SetNonblock(fd, true)
}

// masked is a text frame of a client, with a mask of zeros.
func masked(m string) []byte {
	head := []byte{textFrame, 0x80 | 126, byte(len(m) >> 8), byte(len(m))}
	if len(m) < 126 {
		head = []byte{textFrame, 0x80 | byte(len(m))}
	}
	return slices.Concat(head, make([]byte, 4), []byte(m))
}
