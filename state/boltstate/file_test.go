package boltstate_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"lockstep/state"
	"lockstep/state/boltstate"
)

func TestOpen(t *testing.T) {
	t.Run("makes the folder and a file that only its owner can read", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "states.db")
		open(t, path)
		info, err := os.Stat(path)
		must(t, err)
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("got mode %o, want 600", got)
		}
	})
	t.Run("fails soon when another instance has the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "states.db")
		open(t, path)
		start := time.Now()
		_, err := boltstate.Open(path, nil)
		wantOneLine(t, err, path, "another instance")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want about 1 s", took)
		}
	})
	t.Run("fails without a name, and on what is not a file", func(t *testing.T) {
		_, err := boltstate.Open("", nil)
		wantOneLine(t, err, "no file name")
		folder := t.TempDir()
		_, err = boltstate.Open(folder, nil)
		wantOneLine(t, err, folder)
	})
	t.Run("refuses a file of another program and leaves it alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		text := bytes.Repeat([]byte("not a database\n"), 1000)
		must(t, os.WriteFile(path, text, 0o600))
		_, err := boltstate.Open(path, nil)
		wantOneLine(t, err, path)
		if got, _ := os.ReadFile(path); !bytes.Equal(got, text) {
			t.Error("the file has changed")
		}
	})
	t.Run("refuses another program's bbolt file and leaves it alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.db")
		makeForeign(t, path)
		before, err := os.ReadFile(path)
		must(t, err)
		_, err = boltstate.Open(path, nil)
		wantOneLine(t, err, path, "another program")
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Error("the file has changed")
		}
	})
	t.Run("takes an empty file for a new one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "states.db")
		must(t, os.WriteFile(path, nil, 0o600))
		open(t, path)
	})
}

// makeForeign writes a bbolt file that is not ours.
func makeForeign(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("photos"))
		return err
	}))
	must(t, db.Close())
}

func TestDamagedFileIsAnErrorAndNotAPanic(t *testing.T) {
	for name, damage := range map[string]func(file []byte) []byte{
		"cut off after the first page":  func(file []byte) []byte { return file[:os.Getpagesize()] },
		"cut off in the first page":     func(file []byte) []byte { return file[:100] },
		"cut off in the middle":         func(file []byte) []byte { return file[:len(file)/3] },
		"all but the head is zero":      func(file []byte) []byte { clear(file[2*os.Getpagesize():]); return file },
		"all but the head is noise":     func(file []byte) []byte { noise(file[2*os.Getpagesize():]); return file },
		"the head is noise":             func(file []byte) []byte { noise(file[:2*os.Getpagesize()]); return file },
		"every page has a wrong number": func(file []byte) []byte { renumber(file[2*os.Getpagesize():]); return file },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "states.db")
			fill(t, path)
			file, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, damage(file), 0o600))
			_, err = boltstate.Open(path, nil)
			wantOneLine(t, err, path)
			// A new file can take its place, though the old one may stay locked.
			must(t, os.Remove(path))
			open(t, path)
		})
	}
}

// fillCommits is how many commits fill makes.
const fillCommits = 8

// fill makes a store with enough in it for several levels of pages.
func fill(t *testing.T, path string) {
	t.Helper()
	s, err := boltstate.Open(path, nil)
	must(t, err)
	for range fillCommits {
		fillOnce(t, s, "a")
	}
	must(t, s.Close())
}

// fillOnce commits as many lanes as a step can have, with data and log entries.
func fillOnce(t testing.TB, s state.Store, topic string) {
	t.Helper()
	step := state.Step{Topic: topic, Data: []byte("some data"), Log: [][]byte{make([]byte, 3000), {}}, Keep: 5}
	for range state.MaxMoves {
		step.Moves = append(step.Moves, move(newClient(), 1))
	}
	commit(t, s, step)
}

func noise(b []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// renumber damages the id at the head of each page.
func renumber(b []byte) {
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] ^= 0x55
	}
}

func TestClosedStoreReturnsErrors(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "states.db"))
	must(t, s.Close())
	o := s.Commit(t.Context(), state.Step{Topic: "a", Moves: []state.Move{move(newClient(), 1)}})
	wantOneLine(t, o[0].Err, "boltstate:")
	_, err := s.Read(t.Context(), "a")
	wantOneLine(t, err, "boltstate:")
	_, _, err = s.Entries(t.Context(), "a", 0, 1)
	wantOneLine(t, err, "boltstate:")
	wantOneLine(t, s.Finish(t.Context(), state.Mark{Topic: "a"}), "boltstate:")
}

func TestOneDamagedPageIsAnErrorAtMost(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "states.db")
	fill(t, whole)
	file, err := os.ReadFile(whole)
	must(t, err)
	failed := 0
	for at := 2 * os.Getpagesize(); at < len(file); at += 2 * os.Getpagesize() {
		damaged := bytes.Clone(file)
		noise(damaged[at : at+os.Getpagesize()])
		path := filepath.Join(t.TempDir(), "states.db")
		must(t, os.WriteFile(path, damaged, 0o600))
		if useDamaged(t, path) != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed: the test is void")
	}
}

// useDamaged returns an error of using a damaged file in all ways.
func useDamaged(t *testing.T, path string) error {
	s, err := boltstate.Open(path, nil)
	if err != nil {
		return err
	}
	for range 20 {
		if _, e := add(t.Context(), s, "a", newClient(), 1); e != nil {
			err = e
		}
	}
	if _, e := s.Read(t.Context(), "a", "b"); e != nil {
		err = e
	}
	if _, _, e := s.Entries(t.Context(), "a", 0, state.MaxLog); e != nil {
		err = e
	}
	if e := s.Finish(t.Context(), state.Mark{Topic: "a", Client: newClient(), UpTo: 1}); e != nil {
		err = e
	}
	must(t, s.Close())
	return err
}

func TestAFileRestoredFromACopyBeginsANewEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	apply := func(n int) (r state.Record) {
		s, err := boltstate.Open(path, nil)
		must(t, err)
		for range n {
			wantAdded(t, s, "a", newClient(), 1, true)
		}
		r = read(t, s, "a")
		must(t, s.Close())
		return r
	}
	apply(3)
	backup, err := os.ReadFile(path)
	must(t, err)
	shown := apply(7)
	must(t, os.WriteFile(path, backup, 0o600))
	if got := apply(1); !got.Newer(shown) || string(got.Data) != "4" {
		t.Errorf("got %+v after the copy was restored, want 4, newer than %+v: tabs would not follow", got, shown)
	}
}

func TestAnEpochIsNeverUsedTwice(t *testing.T) {
	now := time.UnixMicro(1_800_000_000_000_000)
	for name, c := range map[string]struct {
		last uint64
		now  time.Time
	}{
		"a new file":                        {0, now},
		"the clock as it should be":         {1_700_000_000_000_000, now},
		"twice in one moment":               {1_800_000_000_000_000, now},
		"in ms, as before there were µs":    {1_800_000_000_000, now},
		"a clock before the year 1970":      {0, time.UnixMilli(-5)},
		"the clock was ahead, and is right": {1_900_000_000_000_000, now},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := boltstate.NextEpoch(c.last, c.now), boltstate.NextEpoch(c.last, c.now.Add(2*time.Microsecond))
			if first <= c.last || second <= c.last || first == second {
				t.Errorf("got %d and %d after %d, want two that are greater", first, second, c.last)
			}
			if first >= 1<<53 {
				t.Errorf("got %d, which JavaScript can't count with", first)
			}
		})
	}
}
