package wslive_test

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/live/wslive"
)

// large is a view that shows more than a thousand bytes.
type large struct{ echo }

func (large) Mount(_ context.Context, s *live.Session) error {
	_ = s.Show(live.Part{Target: "#x", Component: livetest.HTML(strings.Repeat("lorem ipsum ", 500))}) // a text can be shown
	return nil
}

const extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

func TestALargeMessageIsCompressedForThoseWhoAskedForIt(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, large{}, opts)
		for name, asks := range map[string]string{"a tab that asks": extension, "a tab that does not": ""} {
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
				p.until(fin|text, `"ack":[["after",1]]`)
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
			write(t, ws, websocket.MessageText, `{"do":"a","op":["`+op+`",1,1],"filler":"`+strings.Repeat("x", 600)+`"}`)
			if err := until(t, ws, `"ack":[["`+op+`",1]]`); err != nil {
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

// deflated compresses a message, and says at its end that nothing follows if it
// is final (RFC 1951's BFINAL), which no browser says.
func deflated(t testing.TB, message string, final bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, message); err != nil {
		t.Fatal(err)
	}
	if final {
		err = w.Close()
	} else {
		err = w.Flush()
		b.Truncate(b.Len() - len("\x00\x00\xff\xff"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestNothingBehindTheEndOfAMessageReachesAnotherTab makes tabs hide a message
// behind the end of the compressed data of another. A decompressor that reads
// ahead gives it to the connection that is read next.
func TestNothingBehindTheEndOfAMessageReachesAnotherTab(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		hidden := deflated(t, `{"do":"a","op":["stolen",1,1]}`, true)
		for i := range 8 {
			op := fmt.Sprintf("first-%d", i)
			hostile := connectWith(t, url, extension, nil)
			hostile.send(frame{fin | rsv1 | text, append(deflated(t, `{"do":"a","op":["`+op+`",1,1]}`, true), hidden...)})
			hostile.until(fin|text, `"ack":[["`+op+`",1]]`)
		}
		for i := range 8 {
			op := fmt.Sprintf("own-%d", i)
			other := connectWith(t, url, extension, nil)
			for range 8 {
				other.send(frame{fin | rsv1 | text, deflated(t, `{"do":"a","op":["`+op+`",1,1]}`, false)})
				other.until(fin|text, `"ack":[["`+op+`",1]]`)
			}
		}
	})
}

func TestCompressedMessages(t *testing.T) {
	click := deflated(t, `{"do":"a","op":["one",1,1]}`, false)
	for _, c := range []struct {
		name string
		send []frame
		want int // close code; 0: it is acknowledged
	}{
		{"one", []frame{{fin | rsv1 | text, click}}, 0},
		{"one that ends itself", []frame{{fin | rsv1 | text, deflated(t, `{"do":"a","op":["one",1,1]}`, true)}}, 0},
		{"one in two frames", []frame{{rsv1 | text, click[:5]}, {fin | cont, click[5:]}}, 0},
		{"one with a ping within", []frame{{rsv1 | text, click[:5]}, {fin | pong, nil}, {fin | cont, click[5:]}}, 0},
		{"one behind another that is not", []frame{{fin | text, []byte(`{"do":"a","op":["zero",1,1]}`)}, {fin | rsv1 | text, click}}, 0},
		{"one before another that is not", []frame{{fin | rsv1 | text, deflated(t, `{"do":"a","op":["zero",1,1]}`, false)}, {fin | text, []byte(`{"do":"a","op":["one",1,1]}`)}}, 0},
		{"a short one before another that is not", []frame{{fin | rsv1 | text, deflated(t, `{"hello":2}`, false)}, {fin | text, []byte(`{"do":"a","op":["one",1,1]}`)}}, 0},
		{"one behind a short one that is not", []frame{{fin | text, []byte(`{"hello":2}`)}, {fin | rsv1 | text, click}}, 0},
		{"a mark on what continues", []frame{{rsv1 | text, click[:5]}, {fin | rsv1 | cont, click[5:]}}, 1002},
		{"a mark on a ping", []frame{{fin | rsv1 | ping, nil}}, 1002},
		{"a mark on a message within another", []frame{{rsv1 | text, click[:5]}, {fin | rsv1 | text, click}}, 1002},
		{"another mark beside it", []frame{{fin | rsv1 | 0x20 | text, click}}, 1002},
		{"what is not compressed", []frame{{fin | rsv1 | text, []byte("\xff\xff\xff\xff")}}, 1007},
		{"half of one", []frame{{fin | rsv1 | text, click[:len(click)/2]}}, 1007},
		{"nothing", []frame{{fin | rsv1 | text, nil}}, 1007},
		{"what is not UTF-8", []frame{{fin | rsv1 | text, deflated(t, "\xff", false)}}, 1007},
		{"binary", []frame{{fin | rsv1 | bin, deflated(t, "x", false)}}, 1003},
		{"a bomb", []frame{{fin | rsv1 | text, deflated(t, strings.Repeat("x", 4<<20), false)[:4096]}}, 1009},
		{"a bomb of bombs", []frame{{fin | rsv1 | text, bytes.Repeat(deflated(t, strings.Repeat("x", 1<<20), false)[:100], 40)}}, 1009},
		{"a byte more than may be", []frame{{fin | rsv1 | text, deflated(t, strings.Repeat("x", htmx.MaxEvent+1), false)}}, 1009},
		{"as long as may be", []frame{{fin | rsv1 | text, deflated(t, `{"do":"a","op":["one",1,1],"x":"`+strings.Repeat("x", htmx.MaxEvent-34)+`"}`, false)}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			modes(t, func(t *testing.T, opts *wslive.Options) {
				_, url := serveWith(t, echo{}, opts)
				p := connectWith(t, url, extension, nil)
				p.send(c.send...)
				if c.want == 0 {
					p.until(fin|text, `"one"`)
					return
				}
				if got := p.endedAfter(c.send[0].bytes()); got != c.want {
					t.Errorf("got close code %d, want %d", got, c.want)
				}
			})
		})
	}
}

func TestACompressedMessageOfWhoDidNotAskIsAFault(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		p := connect(t, url, nil)
		send := frame{fin | rsv1 | text, deflated(t, `{"do":"a","op":["one",1,1]}`, false)}
		p.send(send)
		if got := p.endedAfter(send.bytes()); got != 1002 {
			t.Errorf("got close code %d, want 1002", got)
		}
	})
}

func TestCompressedWhatComesWithTheRequestIsNotLost(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		_, url := serveWith(t, echo{}, opts)
		first := frame{fin | rsv1 | text, deflated(t, `{"do":"a","op":["early",1,1]}`, false)}.bytes()
		second := frame{fin | rsv1 | text, deflated(t, `{"do":"a","op":["half",1,1]}`, false)}.bytes()
		p := connectWith(t, url, extension, append(first, second[:9]...))
		p.until(fin|text, `"early"`)
		p.write(second[9:])
		p.until(fin|text, `"half"`)
	})
}
