package pgpubsub_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/pgpubsub"
)

func TestConformanceByThePoolOfSomebodyElse(t *testing.T) {
	server := testserver.Postgres(t)
	pool, err := pgxpool.New(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	drivertest.Run(t, drivertest.Harness{Driver: func(t testing.TB) driver.Driver {
		d, err := pgpubsub.NewDriverLike(pool, &pgpubsub.Options{Channel: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}})
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("got %v of the pool after the driver", err)
	}
}

// A password may be a token that is made for each connection.
func TestThePoolsHooksAreCalledForEachConnection(t *testing.T) {
	config, err := pgxpool.ParseConfig(testserver.Postgres(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	var before, after atomic.Int32
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { before.Add(1); return nil }
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { after.Add(1); return c.Ping(ctx) }
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	pool.Close() // it is not needed any more
	d, err := pgpubsub.NewDriverLike(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	before.Store(0)
	after.Store(0)
	conn, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil || before.Load() != 2 || after.Load() != 2 {
		t.Errorf("got %d and %d calls for two connections, %v", before.Load(), after.Load(), err)
	}
}

func TestNoPoolIsNoDriver(t *testing.T) {
	if d, err := pgpubsub.NewDriverLike(nil, nil); err == nil {
		t.Errorf("got %v", d)
	}
}
