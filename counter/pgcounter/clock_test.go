package pgcounter_test

import (
	"testing"
	"testing/synctest"

	"lockstep/counter/pgcounter"
	"lockstep/internal/testserver"
	"lockstep/precondition"
)

// TestAServerWithAnotherClockIsSaid: in a bubble it is the year 2000, and for
// the server it is not.
func TestAServerWithAnotherClockIsSaid(t *testing.T) {
	server := testserver.Postgres(t)
	synctest.Test(t, func(t *testing.T) {
		seen := precondition.NewPart("store", nil)
		s, err := pgcounter.Open(t.Context(), server.URL, &pgcounter.Options{Preconditions: seen})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := seen.Unmet(); len(got) != 1 || got[0].Name != "postgres_clock" {
			t.Errorf("got %v, want postgres_clock", got)
		}
	})
}
