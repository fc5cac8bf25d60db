package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Guards of the way over plain HTTP. What it shares with sockets has the same guards.

func plainOriginGuard() guard {
	return guard{
		"Origin must be the own host, over plain HTTP too", "live/httplive/httplive.go",
		"if !h.opts.Allow(r) {", "if !WITHOUT && !h.opts.Allow(r) {",
	}
}

func plainBodyGuard() guard {
	return guard{
		"length of a request of a tab", "live/httplive/wire.go",
		"http.MaxBytesReader(w, r.Body, MaxBody)", "http.MaxBytesReader(w, r.Body, pick[int64](WITHOUT, 1<<30, MaxBody))",
	}
}

func plainCountGuard() guard {
	return guard{
		"messages of a request of a tab", "live/httplive/wire.go",
		"if len(messages) > MaxMessages {", "if !WITHOUT && len(messages) > MaxMessages {",
	}
}

// plainAttacks do over plain HTTP what others try with a socket.
func plainAttacks() []attack {
	return []attack{
		{
			name: "forged Origin, over plain HTTP", guards: []guard{plainOriginGuard()}, refused: `lockstep_turned_away_total{reason="origin"`,
			run: func(v *victim) error {
				host := v.host()
				for _, origin := range []string{
					"http://evil.example", "null", "http://" + host + ".evil.example", "http://evil.example/" + host, "http://" + host + "@evil.example",
				} {
					if err := clicksOverHTTP(v, v.lobbyRooms(), "Origin: "+origin, "Content-Type: text/plain"); err != nil {
						return fmt.Errorf("with Origin: %s, %w", origin, err)
					}
				}
				return v.counted("lobby")
			},
		},
		{
			name: "stolen cookie without a token, over plain HTTP", guards: []guard{ticketGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				return clicksOverHTTP(v, v.lobbyRooms(), "Cookie: "+v.from(honest).mustVisit(v.page("lobby")).cookie)
			},
		},
		{
			name: "stolen cookie with the token of another session, over plain HTTP", guards: []guard{boundTokenGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				stolen, own := v.from(honest).mustVisit(v.page("lobby")).cookie, v.from(hostile).mustVisit(v.page("lobby")).socket
				return clicksOverHTTP(v, own, "Cookie: "+stolen)
			},
		},
		{
			name: "a request of a tab with 1 MB", guards: []guard{plainBodyGuard()},
			run: func(v *victim) error { return accepts(v, strings.Repeat("x", 1<<20)) },
		},
		{
			name: "a request of a tab with 10,000 messages", guards: []guard{plainCountGuard()},
			run: func(v *victim) error { return accepts(v, strings.Repeat("{}\n", 10_000)) },
		},
		{
			name: "flood of streams", flood: true, flags: []string{"-max-conns-per-addr", "50", "-request-rate", "0"},
			guards: []guard{socketsGuard(), connsGuard()}, run: floodStreams,
		},
		{
			name: "flood of messages by many requests", flood: true, flags: []string{"-addr-rate", "80", "-addr-burst", "200", "-request-rate", "0"},
			guards: []guard{addrGuard()}, refused: `lockstep_turned_away_total{reason="messages_of_address"`, run: floodExchanges,
		},
	}
}

// clicksOverHTTP returns an error if a click counts that comes so.
func clicksOverHTTP(v *victim, path string, headers ...string) error {
	a := v.from(hostile).request(http.MethodPost, path, clickText(v.newOp()), headers...)
	if strings.Contains(a.body, `"ack"`) {
		return errors.New("a click counts")
	}
	if a.status != http.StatusForbidden {
		v.Errorf("got %d %s, want 403", a.status, a.body)
	}
	return nil
}

// accepts returns an error if such a body is taken in.
func accepts(v *victim, body string) error {
	if a := v.from(hostile).request(http.MethodPost, v.lobbyRooms(), body); a.status == http.StatusOK {
		return fmt.Errorf("%d bytes are taken in", len(body))
	}
	return nil
}

// floodStreams holds as many streams as it can get.
func floodStreams(v *victim) error {
	held := 0
	for range v.rounds {
		for range 100 {
			if v.from(hostile).stream() {
				held++
			}
		}
	}
	if held > 50 {
		return fmt.Errorf("one address holds %d streams, where 50 are allowed", held)
	}
	return nil
}

// stream reports whether it has got a stream, which it holds until the attack ends.
func (s *visitor) stream() bool {
	c, err := s.dial()
	if err != nil {
		return false
	}
	_, _ = io.WriteString(c, "POST "+s.v.lobbyRooms()+"&stream=1 HTTP/1.1\r\nHost: "+s.v.host()+"\r\nContent-Length: 0\r\n\r\n") // it may be cut off
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		_ = c.Close()
		return false
	}
	s.v.Cleanup(func() { _ = c.Close() }) // its body ends with it
	return true
}

// floodExchanges sends many clicks in each of many requests.
func floodExchanges(v *victim) error {
	began, counted, op := time.Now(), 0, v.newOpOn("flooded")
	for range v.rounds {
		for range 10 {
			var body strings.Builder
			for range 100 {
				fmt.Fprintln(&body, clickText(op))
				op = op.next()
			}
			a := v.from(hostile).request(http.MethodPost, v.rooms(v.page("flooded")), body.String())
			for _, line := range strings.Split(a.body, "\n") {
				data, _ := strings.CutPrefix(line, "data: ")
				var m heard
				if json.Unmarshal([]byte(data), &m) == nil {
					counted += len(m.Ack)
				}
			}
		}
	}
	if allowed := budget(80, 200, began); counted > allowed {
		return fmt.Errorf("%d clicks of one address count, where %d are allowed", counted, allowed)
	}
	return nil
}
