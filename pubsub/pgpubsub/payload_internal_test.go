package pgpubsub

import (
	"bytes"
	"strings"
	"testing"
)

func TestPayloadsSurviveAndFit(t *testing.T) {
	for _, c := range []struct {
		name, topic string
		payload     []byte
		gap         bool
	}{
		{"a state", "lockstep:counter:lobby", []byte(`{"n":1,"v":2,"e":3}`), false},
		{"nothing", "t", nil, false},
		{"spaces and digits", "1 2 3", []byte("4 5 6"), false},
		{"any bytes", "t", []byte{0, 1, 0xff, '\n'}, false},
		{"a topic beyond ASCII", "zähler 🧮", []byte("x"), false},
		{"the longest plain payload", "t", bytes.Repeat([]byte("x"), 7980), false},
		{"a plain payload that is too long", "t", bytes.Repeat([]byte("x"), 8000), true},
		{"a binary payload that is too long", "t", bytes.Repeat([]byte{0}, 6000), true},
		{"a megabyte", strings.Repeat("t", 512), bytes.Repeat([]byte{0}, 1<<20), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := encode(1<<63, c.topic, c.payload)
			if len(text) > maxText || !ascii(text) {
				t.Errorf("got %d bytes, want at most %d of ASCII", len(text), maxText)
			}
			m, err := decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if m.Topic != c.topic || m.Gap != c.gap || !c.gap && !bytes.Equal(m.Payload, c.payload) {
				t.Errorf("got %q, gap %v, %d bytes", m.Topic, m.Gap, len(m.Payload))
			}
		})
	}
}

func TestEqualMessagesHaveDifferentTexts(t *testing.T) {
	// PostgreSQL delivers equal payloads of one transaction once.
	if encode(1, "t", nil) == encode(2, "t", nil) {
		t.Error("two messages have the same text")
	}
}

func TestTheChannelIsNeitherFoldedNorCut(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"", "a", "A", strings.Repeat("x", 200), strings.Repeat("x", 201), `a"b`, "ä"} {
		name := channelName(text)
		if len(name) > 63 || name != strings.ToLower(name) || strings.ContainsAny(name, `" `) {
			t.Errorf("%q gives %q", text, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q share the channel %s", text, other, name)
		}
		seen[name] = text
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("1 t1 tx")
	f.Add("1 b99999 AAAA")
	f.Add("1 g3 dHR0")
	f.Add(" t")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := decode(text)
		if err != nil {
			return
		}
		again, err := decode(encode(7, m.Topic, m.Payload))
		if err != nil || again.Topic != m.Topic || !again.Gap && !m.Gap && !bytes.Equal(again.Payload, m.Payload) {
			t.Fatalf("%q became %+v and then %+v, %v", text, m, again, err)
		}
	})
}
