package wslive

import (
	"encoding/binary"

	"lockstep/htmx"
)

// A boundary follows the bytes that a peer sends, and knows where one message
// ends and no other has begun: there a reader may stop and come back later.
// RFC 6455 §5.2 has the header of a frame.
type boundary struct {
	header    [14]byte
	n         int    // bytes of header
	left      uint64 // bytes of the payload that are still to come
	fragments bool   // between the first and the last frame of a message
	long      bool   // a frame is longer than any message may be

	frames   int // of the message, so far
	controls int // control frames; reader.fault counts them and sets this to 0

	deflates bool // compression has been negotiated. Set when the reader is put on a connection
	deflated bool // the message that came last is compressed
}

// clean reports whether nothing is under way.
func (b *boundary) clean() bool { return b.n == 0 && b.left == 0 && !b.fragments }

// feed takes in what has been read, up to the end of a message or of a control
// frame between two, and returns how much that is. It takes the mark off a
// message that is compressed, for deflated to tell.
func (b *boundary) feed(p []byte) (n int) {
	for n < len(p) {
		if b.left > 0 {
			k := min(uint64(len(p)-n), b.left)
			b.left -= k
			n += int(k)
		} else {
			b.take(&p[n])
			n++
		}
		if b.clean() {
			break
		}
	}
	return n
}

// take takes in one byte of a header.
func (b *boundary) take(p *byte) {
	if b.n == 0 {
		b.unmark(p)
	}
	b.header[b.n] = *p
	b.n++
	if b.n >= 2 && b.n == b.headerLength() {
		b.begin()
	}
}

// unmark takes the mark off a frame that begins a message (RFC 7692 §6.1).
// Anywhere else it is a fault, which is left for the library to find.
func (b *boundary) unmark(first *byte) {
	const opcode, binary = 0x0f, 0x2
	if op := *first & opcode; op == 0 || op > binary || b.fragments {
		return
	}
	if b.deflated = b.deflates && *first&rsv1 != 0; b.deflated {
		*first &^= rsv1
	}
}

func (b *boundary) headerLength() int {
	n := 2
	switch b.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b.header[1]&0x80 != 0 {
		n += 4 // the mask
	}
	return n
}

// begin takes in a header that is complete.
func (b *boundary) begin() {
	const fin, control = 0x80, 0x08
	switch length := b.header[1] & 0x7f; length {
	case 126:
		b.left = uint64(binary.BigEndian.Uint16(b.header[2:]))
	case 127:
		b.left = binary.BigEndian.Uint64(b.header[2:])
	default:
		b.left = uint64(length)
	}
	// A length with its first bit set is a fault of another kind.
	b.long = b.left > htmx.MaxEvent && b.left>>63 == 0
	b.n = 0
	if b.header[0]&control != 0 {
		b.controls++
		return
	}
	if !b.fragments {
		b.frames = 0
	}
	b.frames++
	b.fragments = b.header[0]&fin == 0
}
