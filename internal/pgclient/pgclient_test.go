package pgclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/pgclient"
)

func TestErrorsThatMeanAnotherServer(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"a standby", &pgconn.PgError{Code: "25006"}, true},
		{"shutting down", &pgconn.PgError{Code: "57P01"}, true},
		{"crashed", &pgconn.PgError{Code: "57P02"}, true},
		{"starting", &pgconn.PgError{Code: "57P03"}, true},
		{"dropped", &pgconn.PgError{Code: "57P04"}, true},
		{"the server behind a pooler is gone", &pgconn.PgError{Code: "08006"}, true},
		{"a connection that was refused for its role", pgclient.ErrReadOnly, true},
		{"cut", io.ErrUnexpectedEOF, true},
		{"reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		{"a deadline", context.DeadlineExceeded, false},
		{"a slow network", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, false},
		{"an overflow", &pgconn.PgError{Code: "22003"}, false},
		{"a disk that is full", &pgconn.PgError{Code: "53100"}, false},
		{"too many connections", &pgconn.PgError{Code: "53300"}, false},
		{"a statement that took too long", &pgconn.PgError{Code: "57014"}, false},
		{"anything else", errors.New("x"), false},
		{"nothing", nil, false},
	} {
		if got := pgclient.Elsewhere(c.err); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if c.err != nil && pgclient.Elsewhere(fmt.Errorf("wrapped: %w", c.err)) != c.want {
			t.Errorf("%s, wrapped: want %v", c.name, c.want)
		}
	}
}
