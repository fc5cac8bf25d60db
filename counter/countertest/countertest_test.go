package countertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/counter"
	"lockstep/counter/memcounter"
)

const window = 10 * time.Second

// A defect is a store that is wrong in one way: each field that is set takes
// the place of one call.
type defect struct {
	counter.Store
	apply func(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error)
	get   func(ctx context.Context, s counter.Store, names []string) ([]counter.Value, error)

	closeTwice error // what the second Close returns

	mu     sync.Mutex // guards closed
	closed bool
}

func (d *defect) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if d.apply != nil {
		return d.apply(ctx, d.Store, name, ops)
	}
	return d.Store.Apply(ctx, name, ops...)
}

func (d *defect) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if d.get != nil {
		return d.get(ctx, d.Store, names)
	}
	return d.Store.Get(ctx, names...)
}

func (d *defect) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.closeTwice
	}
	d.closed = true
	return nil
}

// A verdict is a testing.TB that notes failures instead of failing.
type verdict struct {
	testing.TB
	mu     sync.Mutex // guards failed
	failed string
}

func (v *verdict) Helper() {}

func (v *verdict) Error(args ...any) { v.note(fmt.Sprint(args...)) }

func (v *verdict) Errorf(format string, args ...any) { v.note(fmt.Sprintf(format, args...)) }

func (v *verdict) Fatal(args ...any) {
	v.note(fmt.Sprint(args...))
	panic(v)
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.note(fmt.Sprintf(format, args...))
	panic(v)
}

func (v *verdict) note(s string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed += s + "\n"
}

// judge runs a case in fake time and returns what it finds wrong.
func judge(t *testing.T, c testCase, open func() counter.Store, o Options) string {
	v := &verdict{TB: t}
	synctest.Test(t, func(t *testing.T) {
		v.TB = t
		defer func() {
			if p := recover(); p != nil && p != any(v) {
				panic(p)
			}
		}()
		c.try(v, func(testing.TB) counter.Store { return open() }, o)
	})
	return v.failed
}

// shared are the options of stores that live in this process.
func shared() Options {
	same := func(_ testing.TB, s counter.Store) counter.Store { return s }
	return Options{Reopen: same, Second: same, Window: window, Crash: func(testing.TB) {}}
}

func newMem() counter.Store { return memcounter.New(&memcounter.Options{Window: window}) }

func TestSuiteAcceptsACorrectStore(t *testing.T) {
	for _, c := range cases() {
		if failed := judge(t, c, newMem, shared()); failed != "" {
			t.Errorf("%s: %s", c.name, failed)
		}
	}
}

func TestSuiteRefusesADefect(t *testing.T) {
	for name, open := range defects() {
		t.Run(name, func(t *testing.T) {
			found := slices.ContainsFunc(cases(), func(c testCase) bool { return judge(t, c, open, shared()) != "" })
			if !found {
				t.Error("no case fails")
			}
		})
	}
}

// defects returns stores that are wrong in one way.
func defects() map[string]func() counter.Store {
	wrong := func(d *defect) func() counter.Store {
		return func() counter.Store {
			return &defect{Store: newMem(), apply: d.apply, get: d.get, closeTwice: d.closeTwice}
		}
	}
	return map[string]func() counter.Store{
		"forgets ops too early": func() counter.Store { return memcounter.New(&memcounter.Options{Window: window / 2}) },
		"never forgets ops":     func() counter.Store { return memcounter.New(&memcounter.Options{Window: time.Hour}) },
		"can't be closed twice": wrong(&defect{closeTwice: errors.New("closed")}),
		"ignores a cancelled Apply": wrong(&defect{apply: func(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
			return s.Apply(context.WithoutCancel(ctx), name, ops...)
		}}),
		"ignores a cancelled Get": wrong(&defect{get: func(ctx context.Context, s counter.Store, names []string) ([]counter.Value, error) {
			return s.Get(context.WithoutCancel(ctx), names...)
		}}),
		"is not atomic":                    wrong(&defect{apply: applyOneByOne}),
		"applies in another order":         wrong(&defect{apply: applyBackwards}),
		"does not know repeated ops":       wrong(&defect{apply: applyAnew}),
		"says that repeated ops applied":   wrong(&defect{apply: applyAndBoast}),
		"returns nothing for repeated ops": wrong(&defect{apply: applyAndShrug}),
		"answers with the state of others": wrong(&defect{apply: applyStale}),
		"has no epoch":                     wrong(&defect{apply: applyWithoutEpoch}),
		"answers Get once for each name": wrong(&defect{get: func(ctx context.Context, s counter.Store, names []string) ([]counter.Value, error) {
			return s.Get(ctx, slices.Compact(slices.Sorted(slices.Values(names)))...)
		}}),
	}
}

func applyOneByOne(ctx context.Context, s counter.Store, name string, ops []counter.Op) (v counter.Value, applied []bool, err error) {
	if err := counter.Check(name, ops); err != nil {
		return v, nil, err
	}
	for _, op := range ops {
		var one []bool
		if v, one, err = s.Apply(ctx, name, op); err != nil {
			return v, nil, err
		}
		applied = append(applied, one...)
	}
	return v, applied, nil
}

func applyBackwards(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
	ops = slices.Clone(ops)
	slices.Reverse(ops)
	v, applied, err := s.Apply(ctx, name, ops...)
	slices.Reverse(applied)
	return v, applied, err
}

func applyAnew(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
	if err := counter.Check(name, ops); err != nil {
		return counter.Value{}, nil, err
	}
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].ID = increment(0).ID
	}
	return s.Apply(ctx, name, ops...)
}

func applyAndBoast(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
	v, applied, err := s.Apply(ctx, name, ops...)
	for i := range applied {
		applied[i] = true
	}
	return v, applied, err
}

func applyAndShrug(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
	v, applied, err := s.Apply(ctx, name, ops...)
	if !slices.Contains(applied, true) {
		v = counter.Value{Epoch: v.Epoch}
	}
	return v, applied, err
}

// applyStale answers with a state that it reads apart.
func applyStale(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
	v, applied, err := s.Apply(ctx, name, ops...)
	if err != nil {
		return v, applied, err
	}
	time.Sleep(time.Millisecond) // the others write meanwhile
	values, err := s.Get(ctx, name)
	if err != nil {
		return v, nil, err
	}
	return values[0], applied, nil
}

func applyWithoutEpoch(ctx context.Context, s counter.Store, name string, ops []counter.Op) (counter.Value, []bool, error) {
	v, applied, err := s.Apply(ctx, name, ops...)
	v.Epoch = 0
	return v, applied, err
}
