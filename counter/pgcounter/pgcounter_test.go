package pgcounter_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/pgcounter"
	"lockstep/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// window is long enough for every case that relies on it.
const window = 3 * time.Second

func open(t testing.TB, url string, opts *pgcounter.Options) counter.Store {
	t.Helper()
	s, err := pgcounter.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	url := testserver.Postgres(t).URL
	opts := &pgcounter.Options{Prefix: "test:", Window: window}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, url, opts) }
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, url, opts) },
		&countertest.Options{Reopen: another, Second: another, Window: window})
}

func apply(t *testing.T, s counter.Store, name string, n int) counter.Value {
	t.Helper()
	var v counter.Value
	for i := range n {
		var err error
		v, _, err = s.Apply(t.Context(), name, counter.Op{ID: fmt.Sprintf("op-%s-%012d", name, i), Kind: counter.Increment})
		if err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// get reads a counter. A store does not retry, and has connections that a
// restart of the server has cut: some calls may fail.
func get(t *testing.T, s counter.Store, name string) counter.Value {
	t.Helper()
	var err error
	for range 20 {
		var v []counter.Value
		if v, err = s.Get(t.Context(), name); err == nil {
			return v[0]
		}
	}
	t.Fatal(err)
	return counter.Value{}
}

func TestACrashKeepsTheCount(t *testing.T) {
	server := testserver.Postgres(t)
	s := open(t, server.URL, nil)
	before := apply(t, s, "x", 5)
	server.Kill()
	server.Start()
	after := get(t, s, "x")
	if after.N != 5 || after.Version != 5 || after.Epoch < before.Epoch {
		t.Errorf("got %+v after %+v", after, before)
	}
	v, applied, err := s.Apply(t.Context(), "x", counter.Op{ID: "op-x-000000000002", Kind: counter.Increment})
	if err != nil || applied[0] || v.N != 5 {
		t.Errorf("a repeated op after a restart: %+v, %v, %v", v, applied, err)
	}
}

// TestReplicasThatStartTogether make the tables at once.
func TestReplicasThatStartTogether(t *testing.T) {
	url := testserver.Postgres(t).URL
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := pgcounter.Open(context.Background(), url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Get(context.Background(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestApplicationsAreApart(t *testing.T) {
	url := testserver.Postgres(t).URL
	one, other := open(t, url, &pgcounter.Options{Prefix: "one:"}), open(t, url, &pgcounter.Options{Prefix: "other:"})
	apply(t, one, "x", 3)
	if v := get(t, other, "x"); v.N != 0 {
		t.Errorf("another application sees %+v", v)
	}
}

// TestKillingPostgresLosesNoAcknowledgedOp: three times kill -9 under load; what is
// ambiguous is sent again with the same id.
func TestKillingPostgresLosesNoAcknowledgedOp(t *testing.T) {
	server := testserver.Postgres(t)
	s := open(t, server.URL, nil)
	b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: time.Minute})
	acked, stop := load(t, b, "x")
	for range 3 {
		server.Kill()
		server.Start()
		acked.atLeast(t, acked.count()+20)
	}
	stop()
	if v := get(t, s, "x"); v.N != int64(acked.count()) || v.Version != uint64(acked.count()) {
		t.Errorf("got %+v, want %d acknowledged ops counted once", v, acked.count())
	}
}

// acks counts acknowledged ops.
type acks struct {
	mu   sync.Mutex
	n    int
	wake chan struct{}
}

func (a *acks) add() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	close(a.wake)
	a.wake = make(chan struct{})
}

func (a *acks) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

// atLeast waits until there are n.
func (a *acks) atLeast(t *testing.T, n int) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		a.mu.Lock()
		have, wake := a.n, a.wake
		a.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-wake:
		case <-limit.C:
			t.Fatalf("got %d acknowledgements, want %d", have, n)
		}
	}
}

// load has eight people click until stop, which waits for their last click.
func load(t *testing.T, b *counter.Batcher, name string) (a *acks, stop func()) {
	t.Helper()
	a = &acks{wake: make(chan struct{})}
	end := make(chan struct{})
	var people sync.WaitGroup
	for p := range 8 {
		people.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				op := counter.Op{ID: fmt.Sprintf("person-%d-click-%08d", p, i), Kind: counter.Increment}
				if _, err := b.Apply(context.Background(), name, op); err != nil {
					t.Errorf("click: %v", err)
					return
				}
				a.add()
			}
		})
	}
	return a, func() {
		close(end)
		people.Wait()
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1", "postgres://u:hunter2@[::1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := pgcounter.Open(ctx, url, nil)
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := open(b, testserver.Postgres(b).URL, nil)
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d ops", n), func(b *testing.B) {
			ops := make([]counter.Op, n)
			i := 0
			for b.Loop() {
				for k := range ops {
					i++
					ops[k] = counter.Op{ID: fmt.Sprintf("bench-%d-%016d", n, i), Kind: counter.Increment}
				}
				if _, _, err := s.Apply(b.Context(), "bench", ops...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
