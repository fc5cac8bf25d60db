package natsclient

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestSubjectsCanBeRead(t *testing.T) {
	long := strings.Repeat("x", 300)
	for topic, want := range map[string]string{
		"lockstep:counter:lobby": "lockstep.counter.lobby",
		"a-b_c/d=e":              "a-b_c/d=e",
		"é😀":                     "é😀",
		"a.b":                    "a%2Eb",
		"a b\n":                  "a%20b%0A",
		"*":                      "%2A",
		"a:>":                    "a.%3E",
		"100%":                   "100%25",
		":":                      "%.%",
		"a::b":                   "a.%.b",
		"$SYS:x":                 "%24SYS.x",
		"_INBOX:x":               "%5FINBOX.x",
		"\xff":                   "%FF",
		"\u00a0\u2028":           "%C2%A0%E2%80%A8",
		"shop:prices:" + long:    "shop.prices.%~",
		long:                     "%~",
		strings.Repeat(":", 500): strings.Repeat("%.", 15) + "%~",
	} {
		got := Subject(topic)
		if before, _, hashed := strings.Cut(got, "%~"); hashed {
			got = before + "%~"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", topic, got, want)
		}
	}
}

// FuzzSubject wants of every topic a subject that a server takes as it is, and
// from which the topic can be read back: so no two topics have the same one.
func FuzzSubject(f *testing.F) {
	for _, topic := range []string{"a", "a.b", "a:b", ":", "*", ">", "$SYS:x", "_x", "%5Fx", "%", "%~", "a%", "\xff", "é", "a\x00", strings.Repeat("x", 300), strings.Repeat("a:", 200)} {
		f.Add(topic, topic+":")
	}
	f.Fuzz(func(t *testing.T, topic, other string) {
		if topic == "" {
			return
		}
		s := Subject(topic)
		checkSubject(t, s)
		if other != "" && other != topic && Subject(other) == s {
			t.Errorf("%q and %q are both %q", topic, other, s)
		}
		if strings.Contains(s, "%~") {
			return // a hash
		}
		if got := unsubject(t, s); got != topic {
			t.Errorf("%q is %q, which is %q", topic, s, got)
		}
	})
}

func checkSubject(t *testing.T, s string) {
	t.Helper()
	if len(s) > maxSubject || strings.ContainsAny(s, " \t\r\n\x00*>$\"'") || strings.HasPrefix(s, "_") {
		t.Errorf("%q is no subject", s)
	}
	tokens := strings.Split(s, ".")
	if len(tokens) > maxTokens {
		t.Errorf("%q has %d tokens", s, len(tokens))
	}
	for _, token := range tokens {
		if token == "" {
			t.Errorf("%q has an empty token", s)
		}
	}
}

// unsubject is the inverse of subject, but for hashes.
func unsubject(t *testing.T, s string) string {
	t.Helper()
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		if token == "%" {
			tokens[i] = ""
			continue
		}
		parts := strings.Split(token, "%")
		for j, part := range parts[1:] {
			raw, err := hex.DecodeString(part[:2])
			if err != nil {
				t.Fatal(err)
			}
			parts[j+1] = string(raw) + part[2:]
		}
		tokens[i] = strings.Join(parts, "")
	}
	return strings.Join(tokens, ":")
}
