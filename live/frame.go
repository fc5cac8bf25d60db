package live

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Wire is how messages look on a kind of connection. Connections that
// return the same Wire share the bytes: it is compared by its address.
type Wire struct {
	// Encode returns a message as it goes out. What it returns is not changed
	// any more, and several of them may go out in one write, one after the
	// other. It may be called concurrently.
	Encode func(message []byte) []byte

	once      sync.Once
	forStates *Wire // this Wire for tabs that render themselves; set by once
	data      bool  // carries states instead of HTML where there are such
}

// forData returns the wire of those tabs on w that render themselves.
func (w *Wire) forData() *Wire {
	w.once.Do(func() { w.forStates = &Wire{Encode: w.Encode, data: true} })
	return w.forStates
}

// A frame is one message on its way to one tab or to many: immutable, and
// encoded once for each Wire.
type frame struct {
	seq     uint64 // of the state that it shows; 0 if it shows none
	at      revision
	taken   time.Time // when the room took that state; of a room's own frame alone
	message []byte
	data    []byte // the same for tabs that render themselves; nil: they are sent message

	// base is the seq of the state that it leads from; 0: from all. book makes the frames of those
	// that show another one; it is nil when base is 0.
	base uint64
	book *book

	encodings atomic.Pointer[[]encoding] // nil: none
	encoding  sync.Mutex                 // held while one is added
}

type encoding struct {
	wire  *Wire
	bytes []byte
}

// leads reports whether the frame is right for a member: whether it leads from what its tab shows.
// The caller holds the session's mu.
func (f *frame) leads(m *member) bool {
	return f.base == 0 && m.basis != basisStray || m.sent == f.base && m.basis == basisSent
}

// from returns what a member is sent that leads to the frame's state or a newer one; nil: it is on
// its way. The caller holds the session's mu.
func (f *frame) from(m *member, data bool) *frame {
	switch {
	case f.leads(m) || f.base < m.sent && m.basis == basisSent && !data:
		return f
	case m.basis == basisStray:
		return f.book.stray()
	case m.basis == basisNothing || data: // the change of a state is right from exactly that
		return f.book.since(0)
	}
	return f.book.since(m.sent)
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
	message := f.message
	if w.data && f.data != nil {
		message = f.data
	}
	all = append(all, encoding{w, w.Encode(message)})
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
