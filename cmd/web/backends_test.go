package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"lockstep/app"
)

// TestAFileOfAnEarlierVersionGoesOn with its counts, and not below its versions.
func TestAFileOfAnEarlierVersionGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lockstep.db")
	unpack(t, "../../state/boltstate/testdata/counters.db.gz", path)
	c, err := parseConfig([]string{"-store", "file:" + path}, env(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	store, err := c.openStore(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	r, err := store.Read(t.Context(), app.Counters().Topic("lobby"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := app.Counters().Read(r[0].Data); err != nil || n != 3 || r[0].Version < 3 {
		t.Errorf("got %d at version %d, %v; want 3 at 3 or more", n, r[0].Version, err)
	}
}

// unpack puts what a compressed file has into another.
func unpack(t *testing.T, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
