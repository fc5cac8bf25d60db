package redisclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"lockstep/internal/redisclient"
)

// An answer is what a server says to a command that it refuses.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestErrorsThatMeanAnotherServer(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{answer("READONLY You can't write against a read only replica."), true},
		{answer("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write"), true},
		{answer("LOADING Redis is loading the dataset in memory"), true},
		{answer("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), true},
		{answer("CLUSTERDOWN The cluster is down"), true},
		{answer("MOVED 1234 127.0.0.1:7000"), true},
		{redisclient.ErrReplica, true},
		{answer("OOM command not allowed when used memory > 'maxmemory'."), false},
		{answer("MISCONF Errors writing to the AOF file"), false},
		{answer("NOREPLICAS Not enough good replicas to write."), false},
		{answer("BUSY Redis is busy running a script."), false},
		{answer("NOPERM User has no permissions"), false},
		{context.DeadlineExceeded, false},
		{io.EOF, false},
		{errors.New("READONLY but not Redis's word"), false},
		{nil, false},
	} {
		if got := redisclient.Elsewhere(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
		if c.err != nil && redisclient.Elsewhere(fmt.Errorf("wrapped: %w", c.err)) != c.want {
			t.Errorf("%v, wrapped: want %v", c.err, c.want)
		}
	}
}
