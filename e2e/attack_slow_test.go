package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"lockstep/internal/testserver"
)

// Guards against clients that are slow on purpose.

func headerTimeGuard() guard {
	return guard{"time for the head of a request", "serve/server.go", "ReadHeaderTimeout: o.header", "ReadHeaderTimeout: pick(WITHOUT, 0, o.header)"}
}

func bodyTimeGuard() guard {
	return guard{"time for a whole request", "serve/server.go", ", ReadTimeout: o.body", ", ReadTimeout: pick(WITHOUT, 0, o.body)"}
}

func writeTimeGuard() guard {
	return guard{"time for an answer", "serve/server.go", "WriteTimeout: o.write", "WriteTimeout: pick(WITHOUT, 0, o.write)"}
}

func pieceTimeGuard() guard {
	return guard{"time for each chunk of an answer", "serve/deadline.go", "if limit > 0 {", "if limit > 0 && !WITHOUT {"}
}

func messageTimeGuard() guard {
	return guard{
		"time for a message", "live/wslive/reader.go",
		"r.until = time.Now().Add(messageTimeout)", "r.until = pick(WITHOUT, time.Time{}, time.Now().Add(messageTimeout))",
	}
}

func pongGuard() guard {
	return guard{
		"a ping must be answered", "live/wslive/keepalive.go",
		"if c.pinged == 0 || c.answered() ||", "if WITHOUT || c.pinged == 0 || c.answered() ||",
	}
}

// slowAttacks hold what they were given for as long as they can.
func slowAttacks() []attack {
	limits := []string{"-header-timeout", "500ms", "-body-timeout", "500ms", "-write-timeout", "500ms"}
	attacks := []attack{
		{
			name: "slow head (slowloris)", flood: true, flags: []string{"-header-timeout", "500ms"}, guards: []guard{headerTimeGuard()},
			run: func(v *victim) error {
				return hold(v, "GET "+v.page("lobby")+" HTTP/1.1\r\nHost: "+v.host()+"\r\n", func(c net.Conn) error {
					_, err := c.Write([]byte("X-A: b\r\n"))
					return err
				})
			},
		},
		{
			name: "slow body", flood: true, flags: []string{"-body-timeout", "500ms"}, guards: []guard{bodyTimeGuard()},
			run: func(v *victim) error {
				p := v.from(hostile).mustVisit(v.page("lobby"))
				return hold(v, "POST "+p.forms[v.app.do]+" HTTP/1.1\r\nHost: "+v.host()+"\r\nCookie: "+p.cookie+
					"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999\r\n\r\n", func(c net.Conn) error {
					_, err := c.Write([]byte("a"))
					return err
				})
			},
		},
		{
			name: "slow read", flood: true, flags: []string{"-write-timeout", "500ms"}, guards: []guard{writeTimeGuard(), pieceTimeGuard()},
			run: func(v *victim) error {
				return hold(v, "GET "+largeFile(v)+" HTTP/1.1\r\nHost: "+v.host()+"\r\n\r\n", func(c net.Conn) error {
					_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
					_, _ = c.Read(make([]byte, 1)) // one byte at a time
					_, err := c.Write([]byte("x")) // to a connection that was closed it fails
					return err
				})
			},
		},
		{
			name: "sockets of nobody: no ping is answered", flags: []string{"-ping-interval", "300ms", "-pong-timeout", "300ms"},
			guards: []guard{pongGuard()}, refused: `lockstep_sessions_closed_total{reason="keepalive_lost"`,
			run: func(v *victim) error {
				ws := v.from(hostile).connect("lobby")
				_ = ws.SetReadDeadline(time.Now().Add(5 * time.Second))
				for {
					switch opcode, _, err := ws.next(); {
					case errors.Is(err, os.ErrDeadlineExceeded):
						return errors.New("a socket is held for as long as one likes")
					case err != nil || opcode == 8:
						return nil
					}
				}
			},
		},
		{
			name: "message that is dribbled", long: true, guards: []guard{messageTimeGuard()}, run: dribble,
		},
	}
	return append(attacks,
		slowHTTP("slowhttptest -H: slow heads", limits, []string{"-H"}, connsGuard(), headerTimeGuard(), bodyTimeGuard()),
		slowHTTP("slowhttptest -B: slow bodies", limits, []string{"-B", "-s", "16000"}, connsGuard(), bodyTimeGuard()),
		slowHTTP("slowhttptest -X: slow reads", limits, []string{"-X", "-w", "10", "-y", "20", "-n", "5", "-z", "1"}, connsGuard(), writeTimeGuard(), pieceTimeGuard()),
		slowHTTP("slowhttptest -R: many ranges", limits, []string{"-R"}),
	)
}

// largeFile is the path of the largest file that a page names: the program for browsers, or the
// first of its scripts.
func largeFile(v *victim) string {
	v.Helper()
	page := v.from(auditor).mustVisit(v.page("lobby")).html
	m := programPattern.FindStringSubmatch(page)
	if m == nil {
		m = loadPattern.FindStringSubmatch(page[strings.Index(page, "<script"):])
	}
	if m == nil {
		v.Fatal("the page loads nothing")
	}
	return m[1]
}

// hold opens connections with a beginning and does a step with each every 50 ms.
// It returns an error when the server still has some in the end, long after it
// should have closed them.
func hold(v *victim, begin string, step func(c net.Conn) error) error {
	const n = 40
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(max(time.Until(v.ends), 0) + 5*time.Second); time.Now().Before(end); <-tick.C {
		began := len(held) > 0
		if !began || time.Now().Before(v.ends) {
			for len(held) < n {
				c, err := v.from(hostile).dial()
				if err != nil {
					return nil
				}
				if held = append(held, c); c.(*net.TCPConn).SetReadBuffer(4096) != nil {
					v.Fatal("the receive buffer can't be set")
				}
				_, _ = c.Write([]byte(begin)) // the step finds out
			}
		}
		held = dropped(held, step)
		if len(held) == 0 && time.Now().After(v.ends) {
			return nil
		}
	}
	return fmt.Errorf("%d connections are held for as long as one likes", len(held))
}

// dropped returns the connections that take the step.
func dropped(held []net.Conn, step func(c net.Conn) error) (left []net.Conn) {
	for _, c := range held {
		if err := step(c); err != nil {
			_ = c.Close()
			continue
		}
		left = append(left, c)
	}
	return left
}

// dribble sends a message a byte at a time, for longer than one may take.
func dribble(v *victim) error {
	ws := v.from(hostile).connect("lobby")
	message := masked(finText, []byte(clickText(v.newOp())))
	tick := time.NewTicker(13 * time.Second / time.Duration(len(message)))
	defer tick.Stop()
	for i := range message {
		if _, err := ws.Write(message[i : i+1]); err != nil {
			return nil
		}
		<-tick.C
	}
	if m := ws.verdict(); len(m.Ack) > 0 {
		return fmt.Errorf("a message that takes 13 s is waited for: it is %s", m)
	}
	return v.counted("lobby")
}

// slowHTTP has the real slowhttptest attack, while others ask for pages.
func slowHTTP(name string, limits, mode []string, guards ...guard) attack {
	a := attack{
		name: name, flood: true, guards: guards, flags: append(limits, "-max-conns", "150", "-max-conns-per-addr", "50"),
		run: func(v *victim) error { return slowHTTPTest(v, mode) },
	}
	if len(guards) == 0 {
		a.why = "ranges are not supported"
	}
	return a
}

func slowHTTPTest(v *victim, mode []string) error {
	path, err := exec.LookPath("slowhttptest")
	if err != nil {
		if os.Getenv("LOCKSTEP_TEST_REQUIRE") == "1" {
			v.Fatal("slowhttptest is not installed (Debian package slowhttptest)")
		}
		v.Skip("slowhttptest is not installed (Debian package slowhttptest)")
	}
	url := v.p.url + v.page("lobby")
	switch mode[0] {
	case "-B": // the form of a visitor without a session is not read
		p := v.from(hostile).mustVisit(v.page("lobby"))
		url = v.p.url + p.forms[v.app.do]
		mode = append(mode, "-j", p.cookie)
	case "-X":
		url = v.p.url + largeFile(v)
	}
	seconds := v.lasts(30*time.Second, 4*time.Second).Seconds()
	args := append(mode, "-c", "300", "-r", "300", "-i", "1", "-l", fmt.Sprint(int(seconds)), "-u", url)
	for range v.rounds { // it ends when it has no connection left
		if err := servedDuring(v, path, args); err != nil {
			return err
		}
	}
	return nil
}

// servedDuring runs a command, and asks for pages in the name of somebody else
// until it ends.
func servedDuring(v *victim, path string, args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience+v.lasts(30*time.Second, 0))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out syncBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ended, err := testserver.Launch(cmd) // it says with its exit code what it thinks of the server
	if err != nil {
		v.Fatal(err)
	}
	defer func() { cancel(); <-ended }()
	// A new connection each time: from one that is kept nobody is kept away.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for asked := 0; ; asked++ {
		select {
		case <-ended:
			if text := out.String(); !strings.Contains(text, "Exit status:") {
				v.Fatalf("slowhttptest did not work: %s", text)
			}
			return nil
		case <-tick.C:
		}
		a := v.from(auditor).raw("GET " + v.page("lobby") + " HTTP/1.1\r\nHost: " + v.host() + "\r\nConnection: close\r\n\r\n")
		if !strings.Contains(a, "HTTP/1.1 200 ") {
			line, _, _ := strings.Cut(a, "\r\n")
			return fmt.Errorf("nobody else is served any more: after %d pages the answer is %q", asked, line)
		}
	}
}
