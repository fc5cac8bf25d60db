package backends

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/pgclient"
)

// An answer is what Redis says to a command that it refuses.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestABackendThatIsSlowOrStartsIsAskedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"it takes too long":         {fmt.Errorf("store: %w", context.DeadlineExceeded), true},
		"the network does":          {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true},
		"Postgres starts":           {fmt.Errorf("store: %w", &pgconn.PgError{Code: "57P03"}), true},
		"Redis reads its data":      {fmt.Errorf("store: %w", answer("LOADING Redis is loading the dataset in memory")), true},
		"nobody listens":            {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false},
		"the password is wrong":     {&pgconn.PgError{Code: "28P01"}, false},
		"it is a standby":           {pgclient.ErrReadOnly, false},
		"Redis wants a password":    {answer("NOAUTH Authentication required."), false},
		"the file is another one's": {errors.New("file: it is locked"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
				defer cancel()
				calls := 0
				got, err := Patiently(ctx, func() (int, error) {
					if calls++; calls < 4 {
						return 0, c.err
					}
					return 7, nil
				})
				if c.again && (got != 7 || err != nil || calls != 4) || !c.again && (!errors.Is(err, c.err) || calls != 1) {
					t.Errorf("got %d, %v after %d calls", got, err, calls)
				}
			})
		})
	}
}

func TestPatienceEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
		defer cancel()
		_, err := Patiently(ctx, func() (int, error) { return 0, context.DeadlineExceeded })
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != startTimeout {
			t.Errorf("got %v after %v", err, took)
		}
	})
}
