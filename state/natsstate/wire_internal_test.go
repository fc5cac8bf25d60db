package natsstate

import (
	"bytes"
	"testing"

	"lockstep/state"
)

// FuzzWire wants that what is stored is read as it was written, and that whatever else
// is there is refused, or is what it would be written as.
func FuzzWire(f *testing.F) {
	r := record{first: 3, next: 300, data: []byte("data")}
	l := lane{done: true, mark: 7, Lane: state.Lane{Last: state.MaxSeq, From: 5, Refused: []byte("no")}}
	for _, b := range [][]byte{nil, {format}, {2, 1, 1}, r.bytes(), l.bytes(), {format, 0, 1, 1, 2}, {format, 5, 1}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := readRecord(message{9, b}); err == nil {
			again, err := readRecord(message{9, r.bytes()})
			if err != nil || again.first != r.first || again.next != r.next || !bytes.Equal(again.data, r.data) || again.version != 9 {
				t.Errorf("%q is %+v, and then %+v, %v", b, r, again, err)
			}
		}
		if l, err := readLane(message{9, b}); err == nil {
			again, err := readLane(message{9, l.bytes()})
			if err != nil || again.done != l.done || again.mark != l.mark || again.Last != l.Last || again.From != l.From || !bytes.Equal(again.Refused, l.Refused) {
				t.Errorf("%q is %+v, and then %+v, %v", b, l, again, err)
			}
		}
	})
}
