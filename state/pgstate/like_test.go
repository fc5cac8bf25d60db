package pgstate_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/internal/testserver"
	"lockstep/state/pgstate"
	"lockstep/state/statetest"
)

func TestStoreKeepsTheContractByThePoolOfSomebodyElse(t *testing.T) {
	t.Parallel()
	server := testserver.Postgres(t)
	pool, err := pgxpool.New(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	u := &suite{server: server, opts: &pgstate.Options{Prefix: "test:"}, like: pool}
	u.run(t, &statetest.Options{})
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("got %v of the pool after the store", err)
	}
}

func TestNoPoolIsNoStore(t *testing.T) {
	if s, err := pgstate.OpenLike(t.Context(), nil, nil); err == nil {
		t.Errorf("got %v", s)
	}
}
