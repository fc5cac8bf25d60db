package testserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// RedisStub listens as a server that speaks Redis's protocol, until the test
// ends, and returns its address. It is for servers that can't be had: answer
// returns what one says to a command, as it is on the wire, e.g. "+OK\r\n"; ""
// says nothing, for ever. It is called concurrently.
func RedisStub(t testing.TB, answer func(command []string) string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{l: l, answer: answer, open: make(map[net.Conn]struct{})}
	s.running.Go(s.accept)
	t.Cleanup(func() {
		_ = l.Close() // accept ends
		s.mu.Lock()
		for c := range s.open {
			_ = c.Close() // serve ends
		}
		s.closed = true
		s.mu.Unlock()
		s.running.Wait()
	})
	return l.Addr().String()
}

// Bulk is a text on the wire.
func Bulk(text string) string { return "$" + strconv.Itoa(len(text)) + "\r\n" + text + "\r\n" }

// Bulks is a list of texts on the wire.
func Bulks(texts ...string) string {
	all := "*" + strconv.Itoa(len(texts)) + "\r\n"
	for _, text := range texts {
		all += Bulk(text)
	}
	return all
}

type stub struct {
	l       net.Listener
	answer  func(command []string) string
	running sync.WaitGroup

	mu     sync.Mutex // guards the rest
	open   map[net.Conn]struct{}
	closed bool
}

func (s *stub) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = struct{}{}
		closed := s.closed
		s.mu.Unlock()
		if closed {
			_ = c.Close()
			return
		}
		s.running.Go(func() { s.serve(c) })
	}
}

// serve answers commands until the connection ends.
func (s *stub) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		if _, err := c.Write([]byte(s.answer(command))); err != nil {
			return
		}
	}
}

// readCommand reads a list of texts.
func readCommand(in *bufio.Reader) (command []string, err error) {
	n, err := readNumber(in, '*')
	if err != nil {
		return nil, err
	}
	for range n {
		size, err := readNumber(in, '$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, err
		}
		command = append(command, string(text[:size]))
	}
	return command, nil
}

// readNumber reads a line with a sign and a number.
func readNumber(in *bufio.Reader, sign byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != sign {
		return 0, errors.New("not a command")
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil || n < 0 || n > 1<<20 {
		return 0, errors.New("not a number")
	}
	return n, nil
}
