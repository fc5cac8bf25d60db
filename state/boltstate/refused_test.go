package boltstate_test

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"lockstep/state/boltstate"
)

func TestAFileThatCanNotBeUsedIsRefusedInASentence(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "states.db")
	fill(t, whole)
	file, err := os.ReadFile(whole)
	must(t, err)
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"cut off in the middle": {write(file[:len(file)/3]), "the file is cut off, only "},
		"cut off in its head":   {write(file[:100]), "the file is cut off, only 100 of its "},
		"a first letter":        {write(file[:1]), "of another program or damaged"},
		"text":                  {write([]byte("hello\n")), "of another program or damaged"},
		"zeros":                 {write(make([]byte, 1<<16)), "of another program or damaged"},
		"noise": {func(t *testing.T, path string) {
			b := make([]byte, 1<<16)
			noise(b)
			write(b)(t, path)
		}, "of another program or damaged"},
		"a later version's tables":   {makeLater(file), "made by a later version of this program"},
		"a later version of bbolt's": {write(laterHeads(file)), "made by a later version of this program"},
		"a folder":                   {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "this is not a file"},
		"a pipe":                     {func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }, "this is not a file"},
		"one that may not be read": {func(t *testing.T, path string) {
			if os.Getuid() == 0 {
				t.Skip("root may read everything")
			}
			write(file)(t, path)
			must(t, os.Chmod(path, 0))
		}, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "states.db")
			c.make(t, path)
			before := content(path)
			_, err := boltstate.Open(path, nil)
			wantOneLine(t, err, path, c.want)
			if strings.Contains(err.Error(), "runtime error") || strings.Count(err.Error(), path) > 1 {
				t.Errorf("not a sentence for an operator: %v", err)
			}
			if after := content(path); !bytes.Equal(before, after) {
				t.Error("the file has changed")
			}
		})
	}
}

func TestAFileThatIsCutOffAnywhereIsRefusedOrWhole(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "states.db")
	fill(t, whole)
	file, err := os.ReadFile(whole)
	must(t, err)
	refused := 0
	for n := 512; n < len(file); n += 8192 + 512 {
		path := filepath.Join(t.TempDir(), "states.db")
		must(t, os.WriteFile(path, file[:n], 0o600))
		s, err := boltstate.Open(path, nil)
		if err != nil {
			wantOneLine(t, err, "cut off")
			refused++
			continue
		}
		if got := read(t, s, "a").Version; got != fillCommits { // what is away was free
			t.Errorf("got version %d, want %d", got, fillCommits)
		}
		must(t, s.Close())
	}
	if refused == 0 {
		t.Error("none was refused: the test is void")
	}
}

// content returns what is in a file; nothing of what is none.
func content(path string) []byte {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil // reading a pipe would wait for a writer
	}
	b, _ := os.ReadFile(path) // one that may not be read is not changed either
	return b
}

// write returns a function that makes a file of so many bytes.
func write(b []byte) func(t *testing.T, path string) {
	return func(t *testing.T, path string) { must(t, os.WriteFile(path, b, 0o600)) }
}

// makeLater returns a function that makes a file whose tables a later version
// has made.
func makeLater(file []byte) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		write(file)(t, path)
		db, err := bbolt.Open(path, 0o600, nil)
		must(t, err)
		must(t, db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("format"), binary.BigEndian.AppendUint64(nil, 3))
		}))
		must(t, db.Close())
	}
}

// laterHeads returns a file as if the version of bbolt's format were the next.
func laterHeads(file []byte) []byte {
	later := bytes.Clone(file)
	for _, at := range []int{16, os.Getpagesize() + 16} {
		binary.NativeEndian.PutUint32(later[at+4:], 3)
		sum := fnv.New64a()
		_, _ = sum.Write(later[at : at+56])
		binary.NativeEndian.PutUint64(later[at+56:], sum.Sum64())
	}
	return later
}
