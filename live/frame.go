package live

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Wire is how messages look on a kind of connection. Connections that
// return the same Wire share the bytes: it is compared by its address.
type Wire struct {
	// Encode returns a message as it goes out. What it returns is not changed
	// any more, and several of them may go out in one piece, one after the
	// other. It may be called concurrently.
	Encode func(message []byte) []byte
}

// A frame is one message on its way to one tab or to many: immutable, and
// encoded once for each Wire.
type frame struct {
	seq     uint64 // of the state that it shows; 0 if it shows none
	message []byte

	encodings atomic.Pointer[[]encoding] // nil: none
	encoding  sync.Mutex                 // held while one is added
}

type encoding struct {
	wire  *Wire
	bytes []byte
}

// on returns the frame as it looks on a wire.
func (f *frame) on(w *Wire) []byte {
	if b := f.known(w); b != nil {
		return b
	}
	f.encoding.Lock()
	defer f.encoding.Unlock()
	if b := f.known(w); b != nil {
		return b
	}
	var all []encoding
	if old := f.encodings.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = append(all, encoding{w, w.Encode(f.message)})
	f.encodings.Store(&all)
	return all[len(all)-1].bytes
}

func (f *frame) known(w *Wire) []byte {
	all := f.encodings.Load()
	if all == nil {
		return nil
	}
	for _, e := range *all {
		if e.wire == w {
			return e.bytes
		}
	}
	return nil
}
