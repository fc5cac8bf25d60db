package boltstate

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// What is at the head of a bbolt file: two pages with a description each, of
// which the newer one that is whole counts. bbolt maps the file into memory
// and follows it before it can be asked anything, and a page that is not there
// is a fault of memory: so this is looked at first.
const (
	pageHead    = 16 // bytes before a description
	headSize    = 64 // bytes of a description
	headMagic   = 0xED0CDAED
	headVersion = 2
	minPage     = 512 // bytes, and a power of two
	maxPage     = 1 << 16
)

// A head is one description.
type head struct {
	magic, version, pageSize uint32
	pages                    uint64 // of the file
	tx                       uint64 // grows with each commit
	whole                    bool   // its checksum is right
}

// checkHead refuses a file that can't be used, with a sentence. An empty one is
// new.
func checkHead(f *os.File) error {
	var newest head
	later := false
	for size := int64(minPage); size <= maxPage; size *= 2 {
		for _, at := range []int64{0, size} {
			h, ok := readHead(f, at)
			switch {
			case !ok || h.magic != headMagic:
			case h.version > headVersion:
				later = true
			case h.whole && int64(h.pageSize) == size && (!newest.whole || h.tx > newest.tx):
				newest = h
			}
		}
	}
	info, err := f.Stat() // after reading: somebody may be writing to it
	switch {
	case err != nil:
		return err
	case info.Size() == 0:
		return nil
	case newest.whole:
		return checkSize(info.Size(), newest)
	case later:
		return errLater
	}
	return errNotOurs
}

func checkSize(size int64, h head) error {
	if want := h.pages * uint64(h.pageSize); uint64(size) < want {
		return fmt.Errorf("the file is cut off, only %d of its %d bytes are there: put a copy in its place, or move it away to begin anew", size, want)
	}
	return nil
}

// readHead reads the description in the page at an offset.
func readHead(f io.ReaderAt, at int64) (head, bool) {
	var b [headSize]byte
	if _, err := f.ReadAt(b[:], at+pageHead); err != nil {
		return head{}, false
	}
	order := binary.NativeEndian // bbolt writes what it has in memory
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // it never fails
	return head{
		magic: order.Uint32(b[0:]), version: order.Uint32(b[4:]), pageSize: order.Uint32(b[8:]),
		pages: order.Uint64(b[40:]), tx: order.Uint64(b[48:]),
		whole: order.Uint64(b[56:]) == sum.Sum64(),
	}, true
}
