package boltstate_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"lockstep/state"
	"lockstep/state/boltstate"
)

// asRecord is what becomes of counters in these tests.
func asRecord(name string, n int64) (string, []byte) {
	return "counter:" + name, strconv.AppendInt(nil, n, 10)
}

var takingOver = &boltstate.Options{Counter: asRecord}

// writeFormer writes the file that version 0.17 made when "lobby" was clicked up
// three times and "other" down once.
func writeFormer(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open("testdata/counters.db.gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	must(t, os.WriteFile(path, b, 0o600))
}

// inFile calls f with a transaction on a file that nobody has open.
func inFile(t testing.TB, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(f))
	must(t, db.Close())
}

// addFormer adds counters to a file of the former format: "c0", "c1" and so on,
// each with its number and the version 1000 more.
func addFormer(t testing.TB, path string, n int) {
	t.Helper()
	inFile(t, path, func(tx *bbolt.Tx) error {
		for i := range n {
			raw := binary.BigEndian.AppendUint64(nil, uint64(i))
			raw = binary.BigEndian.AppendUint64(raw, uint64(1000+i))
			if err := tx.Bucket([]byte("values")).Put(fmt.Appendf(nil, "c%d", i), raw); err != nil {
				return err
			}
		}
		return nil
	})
}

func formerEpoch(t testing.TB, path string) (epoch uint64) {
	t.Helper()
	inFile(t, path, func(tx *bbolt.Tx) error {
		epoch = binary.BigEndian.Uint64(tx.Bucket([]byte("meta")).Get([]byte("epoch")))
		return nil
	})
	return epoch
}

// wantTakenOver checks what has become of the counters of addFormer, and of two.
func wantTakenOver(t testing.TB, s *boltstate.Store, epoch uint64, n int) {
	t.Helper()
	want := map[string]state.Record{
		"counter:lobby": {Version: 3, Data: []byte("3")},
		"counter:other": {Version: 1, Data: []byte("-1")},
	}
	for i := range n {
		want[fmt.Sprintf("counter:c%d", i)] = state.Record{Version: uint64(1000 + i), Data: strconv.AppendInt(nil, int64(i), 10)}
	}
	for topic, w := range want {
		got := read(t, s, topic)
		if got.Version != w.Version || !bytes.Equal(got.Data, w.Data) || got.Epoch <= epoch {
			t.Fatalf("%s: got %+v, want %+v in an epoch greater than %d", topic, got, w, epoch)
		}
	}
}

// wantNoFormer checks that nothing of the former format is in a file.
func wantNoFormer(t testing.TB, path string) {
	t.Helper()
	inFile(t, path, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			if strings.Contains("meta topics lanes log", string(name)) {
				return nil
			}
			t.Errorf("the table %q is still there", name)
			return nil
		})
	})
}

func TestCountersOfTheFormerFormatBecomeRecordsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	writeFormer(t, path)
	epoch := formerEpoch(t, path)
	s, err := boltstate.Open(path, takingOver)
	must(t, err)
	wantTakenOver(t, s, epoch, 0)
	// Ids of topics are given anew: lanes of one must not be those of another.
	c := newClient()
	for _, topic := range []string{"counter:lobby", "counter:other", "counter:new"} {
		wantAdded(t, s, topic, c, 1, true)
	}
	must(t, s.Close())
	wantNoFormer(t, path)

	s = openWith(t, path, &boltstate.Options{Counter: func(name string, _ int64) (string, []byte) {
		t.Errorf("the counter %q is there still", name)
		return "a", []byte("a")
	}})
	if got := read(t, s, "counter:lobby"); string(got.Data) != "4" || got.Version != 4 {
		t.Errorf("got %+v after a click and a second start, want 4", got)
	}
	wantAdded(t, s, "counter:lobby", c, 1, false)
}

func TestCountersThatNobodySaysWhatBecomesOfAreRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	writeFormer(t, path)
	before, err := os.ReadFile(path)
	must(t, err)
	_, err = boltstate.Open(path, nil)
	wantOneLine(t, err, path, "counters of an earlier version", "Options.Counter", "move the file away")
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file has changed")
	}
}

func TestMigrationThatWasBrokenOffGoesOn(t *testing.T) {
	const n = 3*boltstate.TakeMost + 10
	path := filepath.Join(t.TempDir(), "counters.db")
	writeFormer(t, path)
	addFormer(t, path, n)
	epoch := formerEpoch(t, path)
	calls, most := 0, 0
	breaking := &boltstate.Options{Counter: func(name string, n int64) (string, []byte) {
		if calls++; calls > most {
			panic("the power fails")
		}
		return asRecord(name, n)
	}}
	for _, most = range []int{0, boltstate.TakeMost + 1, 2 * boltstate.TakeMost} {
		calls = 0
		_, err := boltstate.Open(path, breaking)
		wantOneLine(t, err, path, "what the counter ", "the power fails")
		wantFormat(t, path, 2) // an earlier version must not use what is left
		_, err = boltstate.Open(path, nil)
		wantOneLine(t, err, "counters of an earlier version")
	}
	calls, most = 0, n+2
	wantTakenOver(t, openWith(t, path, breaking), epoch, n)
	if want := n + 2 - 3*boltstate.TakeMost; calls != want {
		t.Errorf("the last start asked for %d counters, want the %d that had not become records", calls, want)
	}
}

func wantFormat(t testing.TB, path string, want uint64) {
	t.Helper()
	inFile(t, path, func(tx *bbolt.Tx) error {
		if got := binary.BigEndian.Uint64(tx.Bucket([]byte("meta")).Get([]byte("format"))); got != want {
			t.Errorf("got format %d, want %d", got, want)
		}
		return nil
	})
}

func TestCountersThatCanNotBecomeARecordAreAnError(t *testing.T) {
	for want, becomes := range map[string]func(string, int64) (string, []byte){
		"a topic is":       func(string, int64) (string, []byte) { return "", []byte("1") },
		"0 bytes of data":  func(name string, _ int64) (string, []byte) { return name, nil },
		"524289 bytes":     func(name string, _ int64) (string, []byte) { return name, make([]byte, state.MaxData+1) },
		`the topic "same"`: func(string, int64) (string, []byte) { return "same", []byte("1") },
		"panic: no":        func(string, int64) (string, []byte) { panic("no") },
	} {
		t.Run(want, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "counters.db")
			writeFormer(t, path)
			epoch := formerEpoch(t, path)
			_, err := boltstate.Open(path, &boltstate.Options{Counter: becomes})
			wantOneLine(t, err, path, "what the counter ", want)
			wantTakenOver(t, openWith(t, path, takingOver), epoch, 0)
		})
	}
}
