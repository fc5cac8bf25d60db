package boltcounter_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
)

func open(t testing.TB, path string) *boltcounter.Store {
	t.Helper()
	s, err := boltcounter.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// wantOneLine checks that an error is for the person who starts the program.
func wantOneLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, without %q", err, part)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Run("makes the folder and a file that only its owner can read", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "counters.db")
		open(t, path)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("got mode %o, want 600", got)
		}
	})
	t.Run("fails soon when another instance has the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "counters.db")
		open(t, path)
		start := time.Now()
		_, err := boltcounter.Open(path, nil)
		wantOneLine(t, err, path, "another instance")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want about 1 s", took)
		}
	})
	t.Run("fails without a name, and on what is not a file", func(t *testing.T) {
		_, err := boltcounter.Open("", nil)
		wantOneLine(t, err, "no file name")
		folder := t.TempDir()
		_, err = boltcounter.Open(folder, nil)
		wantOneLine(t, err, folder)
	})
	t.Run("refuses a file of another program and leaves it alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		text := bytes.Repeat([]byte("not a database\n"), 1000)
		must(t, os.WriteFile(path, text, 0o600))
		_, err := boltcounter.Open(path, nil)
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
		_, err = boltcounter.Open(path, nil)
		wantOneLine(t, err, path, "another program")
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Error("the file has changed")
		}
	})
	t.Run("takes an empty file for a new one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "counters.db")
		must(t, os.WriteFile(path, nil, 0o600))
		open(t, path)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
		"cut off in the middle":         func(file []byte) []byte { return file[:len(file)/2] },
		"all but the head is zero":      func(file []byte) []byte { clear(file[2*os.Getpagesize():]); return file },
		"all but the head is noise":     func(file []byte) []byte { noise(file[2*os.Getpagesize():]); return file },
		"the head is noise":             func(file []byte) []byte { noise(file[:2*os.Getpagesize()]); return file },
		"every page has a wrong number": func(file []byte) []byte { renumber(file[2*os.Getpagesize():]); return file },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "counters.db")
			fill(t, path)
			file, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, damage(file), 0o600))
			_, err = boltcounter.Open(path, nil)
			wantOneLine(t, err, path)
			// A new file can take its place, though the old one may stay locked.
			must(t, os.Remove(path))
			open(t, path)
		})
	}
}

// fill makes a store with enough in it for several levels of pages.
func fill(t *testing.T, path string) {
	t.Helper()
	s, err := boltcounter.Open(path, nil)
	must(t, err)
	for range 8 {
		ops := make([]counter.Op, counter.MaxOps)
		for i := range ops {
			ops[i] = newOp()
		}
		if _, _, err := s.Apply(t.Context(), "a", ops...); err != nil {
			t.Fatal(err)
		}
	}
	must(t, s.Close())
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
	s := open(t, filepath.Join(t.TempDir(), "counters.db"))
	must(t, s.Close())
	_, _, err := s.Apply(t.Context(), "a", newOp())
	wantOneLine(t, err, "boltcounter:")
	_, err = s.Get(t.Context(), "a")
	wantOneLine(t, err, "boltcounter:")
}

func TestOneDamagedPageIsAnErrorAtMost(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "counters.db")
	fill(t, whole)
	file, err := os.ReadFile(whole)
	must(t, err)
	failed := 0
	for at := 2 * os.Getpagesize(); at < len(file); at += 2 * os.Getpagesize() {
		damaged := bytes.Clone(file)
		noise(damaged[at : at+os.Getpagesize()])
		path := filepath.Join(t.TempDir(), "counters.db")
		must(t, os.WriteFile(path, damaged, 0o600))
		if useDamaged(t, path) != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed: the test is void")
	}
}

func TestAFileRestoredFromACopyBeginsANewEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	apply := func(n int) (v counter.Value) {
		s, err := boltcounter.Open(path, nil)
		must(t, err)
		for range n {
			v, _, err = s.Apply(t.Context(), "a", newOp())
			must(t, err)
		}
		must(t, s.Close())
		return v
	}
	apply(3)
	backup, err := os.ReadFile(path)
	must(t, err)
	shown := apply(7)
	must(t, os.WriteFile(path, backup, 0o600))
	if got := apply(1); !got.Newer(shown) || got.N != 4 {
		t.Errorf("got %+v after the copy was restored, want 4, newer than %+v: tabs would not follow", got, shown)
	}
}

// useDamaged returns the first error of using a damaged file in all ways.
func useDamaged(t *testing.T, path string) error {
	s, err := boltcounter.Open(path, nil)
	if err != nil {
		return err
	}
	for range 20 {
		if _, _, e := s.Apply(t.Context(), "a", newOp()); e != nil {
			err = e
		}
	}
	if _, e := s.Get(t.Context(), "a", "b"); e != nil {
		err = e
	}
	must(t, s.Close())
	return err
}
