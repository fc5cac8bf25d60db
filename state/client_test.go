package state_test

import (
	"errors"
	"strings"
	"testing"

	"lockstep/state"
)

func TestAClientIsReadAsItIsWritten(t *testing.T) {
	for _, c := range []state.Client{{}, {0: 0xff, 15: 0xff}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}} {
		if got, err := state.ParseClient(c.String()); err != nil || got != c || len(c.String()) != 22 {
			t.Errorf("%q: got %v, %v, want %v", c.String(), got, err, c)
		}
	}
	good := state.Client{0: 0xfb, 1: 0xff}.String()
	for _, bad := range []string{
		"", good[:21], good + "A", good + "==", good[:21] + "B", good[:21] + "=", "+" + good[1:], "/" + good[1:], good[:20] + "\nA", good[:21] + "\n", "\n" + good, " " + good,
	} {
		if c, err := state.ParseClient(bad); err == nil {
			t.Errorf("%q is read as %v", bad, c)
		}
	}
}

// What a caller wrote of refusals is about people: it must not get into a log.
func TestErrorsOfStepsSayNothingOfTheirBytes(t *testing.T) {
	secret := strings.Repeat("secret", 1000)
	lane := state.Lane{Last: 1, From: 1, Refused: []byte(secret)}
	for name, step := range map[string]state.Step{
		"goes nowhere": {Topic: "t", Moves: []state.Move{{Max: 1, To: lane}}},
		"is too long":  {Topic: "t", Moves: []state.Move{{To: lane}}},
		"bad topic":    {Topic: secret, Moves: []state.Move{{To: state.Lane{Last: 1, From: 1}}}},
		"long data":    {Topic: "t", Data: []byte(strings.Repeat(secret, 100)), Moves: []state.Move{{To: state.Lane{Last: 1, From: 1}}}},
	} {
		err := state.Check([]state.Step{step})
		if !errors.Is(err, state.ErrBadStep) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "115 101 99") {
			t.Errorf("%s: got %.200v", name, err)
		}
	}
}
