package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	stdhtml "html"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// crowdMark is in every message that shows a state, once.
const crowdMark = `"v":`

// A crowd is many tabs on many replicas of the application, all on the counter
// "room".
type crowd struct {
	replicas, each int
	broker         string // URL
	servers        []*exec.Cmd
	addrs          []string
	sockets        []string // where each has the socket of the counter, by its page
	tabs           []*child
}

// run opens the tabs, clicks once, and says when all of them have seen it.
func (c *crowd) run() error {
	folder, err := os.MkdirTemp("", "lockstep-crowd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	defer c.end()
	if err := c.serve(folder); err != nil {
		return err
	}
	empty := c.memory()
	began := time.Now()
	for i, addr := range c.addrs {
		tabs, err := connected(greeting{Addr: addr}, c.each, "-mark", crowdMark, "-path", c.sockets[i])
		if err != nil {
			return fmt.Errorf("tabs of replica %d: %w", i, err)
		}
		c.tabs = append(c.tabs, tabs)
		log.Printf("%d tabs after %.0f s", len(c.tabs)*c.each, time.Since(began).Seconds())
	}
	for range 2 {
		time.Sleep(5 * time.Second) // what they are sent first
		if _, err := c.seen(); err != nil {
			return err
		}
	}
	log.Printf("%d tabs on %d replicas: %.2f KB of each replica for a tab, as it is, without a collection", c.all(), c.replicas, (c.memory()-empty)/float64(c.all()))
	for range 3 {
		took, err := c.click()
		if err != nil {
			return err
		}
		log.Printf("one click, seen by all %d tabs after %.2f s", c.all(), took.Seconds())
	}
	return nil
}

func (c *crowd) all() int { return c.replicas * c.each }

// serve starts the replicas and waits until they are ready.
func (c *crowd) serve(folder string) error {
	binary := filepath.Join(folder, "web")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/web") // it compiles nothing beside
	build.Dir, build.Stderr = "..", os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	for i := range c.replicas {
		addr := "127.0.0.1:" + strconv.Itoa(8101+i)
		cmd := exec.Command(binary, "-addr", addr, "-admin", "off", "-log-level", "warn", "-insecure-dev", "-pubsub", c.broker)
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // it ends with this process, however that ends
		if err := cmd.Start(); err != nil {
			return err
		}
		c.servers, c.addrs = append(c.servers, cmd), append(c.addrs, addr)
	}
	for _, addr := range c.addrs {
		if err := ready(addr); err != nil {
			return err
		}
		socket, err := socketOf("http://" + addr + "/c/room")
		if err != nil {
			return err
		}
		c.sockets = append(c.sockets, socket)
	}
	return nil
}

func ready(addr string) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready", addr)
}

// click counts once on the first replica, and returns how long it took until
// every tab had been sent the new count.
func (c *crowd) click() (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+c.addrs[0]+c.sockets[0], nil)
	if err != nil {
		return 0, err
	}
	defer ws.CloseNow()
	clock, err := hear(ctx, ws)
	if err != nil {
		return 0, err
	}
	if _, err := c.seen(); err != nil { // begin anew
		return 0, err
	}
	began := time.Now()
	var client [16]byte
	_, _ = rand.Read(client[:]) // it never fails
	op := fmt.Sprintf(`{"op":["%s",1,1],"seen":%d,"t":"counter:room","do":"increment"}`, base64.RawURLEncoding.EncodeToString(client[:]), clock)
	if err := ws.Write(ctx, websocket.MessageText, []byte(op)); err != nil {
		return 0, err
	}
	for got := 0; got < c.all(); {
		if time.Since(began) > patience {
			return 0, fmt.Errorf("seen by %d of %d tabs after %v", got, c.all(), patience)
		}
		n, err := c.seen()
		if err != nil {
			return 0, err
		}
		got += n
	}
	return time.Since(began), nil
}

// hear returns the clock of a replica, which it says first.
func hear(ctx context.Context, ws *websocket.Conn) (clock int64, err error) {
	for clock == 0 {
		_, text, err := ws.Read(ctx)
		if err != nil {
			return 0, err
		}
		var m struct{ Clock int64 }
		if err := json.Unmarshal(text, &m); err != nil {
			return 0, err
		}
		clock = m.Clock
	}
	return clock, nil
}

// socketOf returns where a page has its socket.
func socketOf(page string) (path string, err error) {
	resp, err := http.Get(page)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(text), `hx-ws:connect="`)
	path, _, ended := strings.Cut(rest, `"`)
	if !found || !ended {
		return "", fmt.Errorf("%s has no socket", page)
	}
	return stdhtml.UnescapeString(path), nil
}

// seen returns how many states the tabs have been sent since it was last called.
func (c *crowd) seen() (n int, err error) {
	for _, tabs := range c.tabs {
		var t tally
		if err := tabs.ask("start", &t); err != nil {
			return n, err
		}
		n += int(t.Received)
	}
	return n, nil
}

// memory is the resident set of all replicas in KB.
func (c *crowd) memory() (kb float64) {
	for _, s := range c.servers {
		kb += resident(strconv.Itoa(s.Process.Pid))
	}
	return kb
}

func (c *crowd) end() {
	for _, t := range c.tabs {
		t.end()
	}
	for _, s := range c.servers {
		_ = s.Process.Kill()
		_ = s.Wait()
	}
}

// parseCrowd reads "10x19500".
func parseCrowd(s, broker string) (*crowd, error) {
	replicas, each, found := strings.Cut(s, "x")
	n, err1 := strconv.Atoi(replicas)
	m, err2 := strconv.Atoi(each)
	if !found || err1 != nil || err2 != nil || n < 1 || m < 1 {
		return nil, fmt.Errorf("-crowd: got %q, want replicas and tabs of each, as in 10x19500", s)
	}
	return &crowd{replicas: n, each: m, broker: broker}, nil
}
