package wslive

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"

	"lockstep/htmx"
)

// deflateFrom is from how many bytes on a message is compressed: below, it
// saves the network little and costs the tab more.
const deflateFrom = 1024

// deflateTail is what a flush ends with, and what RFC 7692 §7.2.1 leaves out.
const deflateTail = "\x00\x00\xff\xff"

// deflateEnd is an empty block that is the last one.
const deflateEnd = "\x01\x00\x00\xff\xff"

var errTooLong = errors.New("wslive: a message that is too long")

// rsv1 marks a compressed message.
const rsv1 = 0x40

// A deflater compresses messages, each for itself ("no context takeover"): so
// one compressed frame serves every tab that understands it, and no tab has a
// compressor of its own. It may be used concurrently.
type deflater struct{ writers sync.Pool }

// encodeText makes a message into one text frame, compressed where that pays.
func (d *deflater) encodeText(message []byte) []byte {
	if len(message) < deflateFrom {
		return encodeText(message)
	}
	small := d.deflate(message)
	if len(small) >= len(message) {
		return encodeText(message)
	}
	return encodeFrame(textFrame|rsv1, small)
}

func (d *deflater) deflate(message []byte) []byte {
	var out bytes.Buffer
	w, ok := d.writers.Get().(*flate.Writer)
	if ok {
		w.Reset(&out)
	} else {
		w, _ = flate.NewWriter(&out, flate.DefaultCompression) // the level is valid
	}
	_, _ = w.Write(message) // a buffer takes everything
	_ = w.Flush()
	d.writers.Put(w)
	return bytes.TrimSuffix(out.Bytes(), []byte(deflateTail))
}

// An inflater reads messages that tabs have compressed, each for itself too. It
// may be used concurrently.
type inflater struct{ sources sync.Pool }

// A source is what a decompressor reads from, and that.
type source struct {
	bytes.Reader
	inflated io.ReadCloser
}

// inflate returns the message that p is, as RFC 7692 §7.2.2 has it: what comes
// behind the end of its data is nothing. It may write behind p. A message of
// more than htmx.MaxEvent bytes is errTooLong, however small p is.
func (i *inflater) inflate(p []byte) ([]byte, error) {
	p = append(p, deflateTail+deflateEnd...)
	s, ok := i.sources.Get().(*source)
	if !ok {
		s = new(source)
		s.inflated = flate.NewReader(&s.Reader)
	}
	defer i.sources.Put(s)
	s.Reader.Reset(p)
	resetter, _ := s.inflated.(flate.Resetter) // each is one
	if err := resetter.Reset(&s.Reader, nil); err != nil {
		return nil, err
	}
	message, err := io.ReadAll(io.LimitReader(s.inflated, htmx.MaxEvent+1))
	s.Reader.Reset(nil)
	if len(message) > htmx.MaxEvent {
		return nil, errTooLong
	}
	return message, err
}
