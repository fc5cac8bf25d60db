package wslive_test

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/wslive"
)

// large is a view that shows more than a thousand bytes.
type large struct{ echo }

func (large) Mount(_ context.Context, s *live.Session) error {
	s.Push(htmx.Partial{Target: "#x", HTML: strings.Repeat("lorem ipsum ", 500)})
	return nil
}

const extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

func TestALargeMessageIsCompressedForThoseWhoAskedForIt(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, large{}, opts)
		for name, asks := range map[string]string{"who asks": extension, "who does not": ""} {
			t.Run(name, func(t *testing.T) {
				p := connectWith(t, url, asks, nil)
				compressed := false
				for {
					f, err := p.read()
					if err != nil {
						t.Fatal(err)
					}
					message := f.payload
					if f.first&0x40 != 0 {
						compressed = true
						message = inflate(t, message)
					} else if len(message) > 1024 && asks != "" {
						t.Errorf("got %d bytes that are not compressed", len(message))
					}
					if bytes.Contains(message, []byte("lorem ipsum")) {
						break
					}
				}
				if compressed != (asks != "") {
					t.Errorf("compressed: got %v", compressed)
				}
				p.send(click("after"))
				p.until(fin|text, `{"ack":["after"]}`)
			})
		}
	})
}

func inflate(t *testing.T, b []byte) []byte {
	t.Helper()
	out, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAClientThatCompressesIsUnderstood(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		ws, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
			CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		for _, op := range []string{"one", "two", "three"} {
			write(t, ws, websocket.MessageText, `{"action":"a","op":"`+op+`","filler":"`+strings.Repeat("x", 600)+`"}`)
			if err := until(t, ws, `{"ack":["`+op+`"]}`); err != nil {
				t.Fatal(err)
			}
		}
		// A bomb: small on the wire, and far too long.
		write(t, ws, websocket.MessageText, strings.Repeat("x", 1<<20))
		if got := websocket.CloseStatus(until(t, ws, "never sent")); got != websocket.StatusMessageTooBig {
			t.Errorf("got close code %d, want %d", got, websocket.StatusMessageTooBig)
		}
	})
}
