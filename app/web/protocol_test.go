package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// The document has these in place of the clock and the epoch of a server.
const (
	documentedClock = 1764374400000
	documentedEpoch = 1764370000000
)

// TestTheConversationInTheDocumentIsHeld has a tab say what docs/protocol.md has it say, and wants
// to hear what stands there.
func TestTheConversationInTheDocumentIsHeld(t *testing.T) {
	base, _ := serving(t)
	ws, status := dial(t, &http.Client{}, base+rooms(t, base, "/"), nil)
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("got %d", status)
	}
	talk := conversation{t: t, ws: ws}
	said := 0
	for _, line := range conversationIn(t, "../../docs/protocol.md") {
		what, message, _ := strings.Cut(line, " ")
		switch what {
		case ">":
			talk.say(message)
			said++
		case "<":
			talk.hear(message)
		}
	}
	if said < 10 {
		t.Errorf("the tab has said %d messages, want more: is this the conversation?", said)
	}
}

// conversationIn returns the lines of the conversation in a document.
func conversationIn(t *testing.T, file string) []string {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "\n## A conversation\n")
	_, rest, _ = strings.Cut(rest, "```text\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatalf("%s has no conversation", file)
	}
	return strings.Split(block, "\n")
}

// A conversation is a tab that goes by a document.
type conversation struct {
	t            *testing.T
	ws           *websocket.Conn
	clock, epoch float64 // of the server; 0: none was heard
}

func (c *conversation) say(message string) {
	c.t.Helper()
	for documented, real := range map[int64]float64{documentedClock: c.clock, documentedEpoch: c.epoch} {
		message = strings.ReplaceAll(message, fmt.Sprint(documented), fmt.Sprintf("%.0f", real))
	}
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// hear reads until a message comes as it stands in the document.
func (c *conversation) hear(documented string) {
	c.t.Helper()
	var want map[string]any
	if err := json.Unmarshal([]byte(documented), &want); err != nil {
		c.t.Fatalf("%s: %v", documented, err)
	}
	var heard []string
	for {
		_, m, err := c.ws.Read(c.t.Context())
		if err != nil {
			c.t.Fatalf("waiting for %s: %v; heard %q", documented, err, heard)
		}
		var got map[string]any
		if err := json.Unmarshal(m, &got); err != nil {
			c.t.Fatal(err)
		}
		if heard = append(heard, string(m)); c.isAs(got, want) {
			return
		}
		if got["op"] != nil || got["error"] != nil || len(heard) > 50 {
			c.t.Fatalf("got %q, want %s", heard, documented)
		}
	}
}

// isAs reports whether a message is what the document says: the same fields, and what is in them.
func (c *conversation) isAs(got, want map[string]any) bool {
	if len(got) != len(want) {
		return false
	}
	for name, value := range want {
		switch value := value.(type) {
		case string:
			if text, ok := got[name].(string); !ok || !isLike(text, value) {
				return false
			}
			continue
		case float64:
			n, ok := got[name].(float64)
			switch {
			case !ok:
				return false
			case value == documentedClock:
				c.clock = n
				continue
			case value == documentedEpoch:
				if c.epoch != 0 && c.epoch != n {
					return false
				}
				c.epoch = n
				continue
			}
		}
		if !reflect.DeepEqual(got[name], value) {
			return false
		}
	}
	return true
}

// isLike reports whether a text is a pattern, in which … is anything.
func isLike(text, pattern string) bool {
	parts := strings.Split(pattern, "…")
	if len(parts) == 1 {
		return text == pattern
	}
	for _, part := range parts {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}
