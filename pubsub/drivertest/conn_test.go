package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep/pubsub/driver"
)

// A failure is a testing.TB that panics with why it has failed.
type failure struct{ testing.TB }

func (failure) Helper() {}

func (failure) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (failure) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A lost connection has some messages left; from then on it says why it has ended, but for one call
// of Receive.
type lost struct {
	driver.Conn
	left, calls int
	alive       int  // which call of Receive has no error; 0: none
	subscribes  bool // it takes subscriptions
}

var errLost = errors.New("the broker has gone")

func (l *lost) Receive(context.Context) (driver.Message, error) {
	if l.calls++; l.calls <= l.left || l.calls == l.alive {
		return driver.Message{}, nil
	}
	return driver.Message{}, errLost
}

func (l *lost) Subscribe(context.Context, string) error {
	if l.subscribes {
		return nil
	}
	return errLost
}

func TestAnEndIsWantedToStay(t *testing.T) {
	for _, c := range []struct {
		name string
		conn lost
		says string // by the connection
		want string // of the test
	}{
		{"an end", lost{left: 2}, "broker", ""},
		{"an end of which another word is said", lost{}, "network", "the broker has gone"},
		{"one that comes back", lost{alive: 3}, "", "came back to life"},
		{"one that takes subscriptions", lost{subscribes: true}, "", "took a subscription"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, c.want) || c.want == "" && got != "<nil>" {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}()
			WantEnd(t.Context(), failure{t}, &c.conn, "other", c.says)
		})
	}
}
