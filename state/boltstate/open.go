package boltstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	// lockTimeout is how long Open waits for another process to let go.
	lockTimeout = time.Second
	// format is that of the tables. The first had counters; a file without a
	// number has the first.
	format = 2
)

var (
	errNotOurs = errors.New("the file is of another program or damaged")
	errLater   = errors.New("the file was made by a later version of this program, which alone can read it")
	errInUse   = errors.New("the file is in use: is another instance running?")
)

// openFile opens the database in a file; it makes one of a file that is empty
// or is not there. Its errors are sentences about the file, without its name.
func openFile(path string) (*bbolt.DB, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("this is not a file")
	}
	for range 10 {
		db, opened, err := openOnce(path)
		var of *fs.PathError
		switch {
		case errors.Is(err, bbolterrors.ErrTimeout):
			return nil, errInUse
		case errors.As(err, &of):
			return nil, of.Err
		case err != nil:
			return nil, err
		case isAt(opened, path):
			return db, nil
		}
		// Somebody who held it has put a smaller one into its place.
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
	return nil, errInUse
}

// openOnce also returns what it has opened at path.
func openOnce(path string) (db *bbolt.DB, opened fs.FileInfo, err error) {
	defer damageAsError(&err)
	// Reading a file that has been cut off is a fault of memory.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err != nil {
			return nil, err
		}
		if opened, err = f.Stat(); err == nil {
			err = checkHead(f)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}})
	return db, opened, err
}

// isAt reports whether a file that was opened at path is there still.
func isAt(opened fs.FileInfo, path string) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(opened, now)
}

// begin looks at the file before it writes to it.
func (s *Store) begin(counter func(string, int64) (string, []byte)) (err error) {
	defer damageAsError(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	var former bool
	if err := s.db.View(func(tx *bbolt.Tx) (err error) {
		former, err = examine(tx, info.Size())
		return err
	}); err != nil {
		return err
	}
	if former && counter == nil {
		return errFormer
	}
	if err := s.db.Update(s.prepare); err != nil || !former {
		return err
	}
	return s.takeOver(counter)
}

// examine refuses what prepare must not touch. It reports whether the file holds
// counters of the first format.
func examine(tx *bbolt.Tx, size int64) (former bool, err error) {
	if tx.Size() > size {
		return false, errNotOurs // cut off
	}
	first, _ := tx.Cursor().First()
	if first == nil {
		return false, nil // a new file
	}
	meta := tx.Bucket([]byte("meta"))
	if meta == nil || meta.Get([]byte("epoch")) == nil {
		return false, errNotOurs
	}
	raw := meta.Get([]byte("format"))
	switch {
	case raw == nil: // of before there was a second
	case len(raw) != 8:
		return false, errNotOurs
	case binary.BigEndian.Uint64(raw) > format:
		return false, errLater
	}
	return tx.Bucket([]byte("values")) != nil, nil
}

// damageAsError, deferred, makes an error of a panic: that is how bbolt tells
// that a page is not what it should be.
func damageAsError(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		*err = errNotOurs // where in bbolt it was tells nobody anything
	default:
		*err = fmt.Errorf("%w: %v", errNotOurs, p)
	}
}

// prepare makes the tables and begins a new epoch: nothing tells a file that
// was left by a crash from one that was restored from an older copy.
func (s *Store) prepare(tx *bbolt.Tx) error {
	for _, name := range []string{"meta", "topics", "lanes", "log"} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte("meta"))
	var last uint64
	if raw := meta.Get([]byte("epoch")); len(raw) == 8 {
		last = binary.BigEndian.Uint64(raw)
	} else if raw != nil {
		return errNotOurs
	}
	s.epoch = nextEpoch(last, s.now())
	if err := meta.Put([]byte("format"), binary.BigEndian.AppendUint64(nil, format)); err != nil {
		return err
	}
	return meta.Put([]byte("epoch"), binary.BigEndian.AppendUint64(nil, s.epoch))
}

// nextEpoch returns an epoch that is greater than the last one that the file
// knows, and was never used before: two files restored from one copy must not
// begin the same one. That is the time, in µs: opening a file takes many of
// them, so no two are opened in the same one. When the clock is not past the
// last epoch it says nothing.
func nextEpoch(last uint64, now time.Time) uint64 {
	us := uint64(max(now.UnixMicro(), 0))
	if us <= last {
		return last + 1 + rand.Uint64N(1<<20)
	}
	return us
}

// syncFolder makes a change of a file's name as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
