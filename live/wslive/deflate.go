package wslive

import (
	"bytes"
	"compress/flate"
	"sync"
)

// deflateFrom is from how many bytes on a message is compressed: below, it
// saves the network little and costs the tab more.
const deflateFrom = 1024

// deflateTail is what a flush ends with, and what RFC 7692 §7.2.1 leaves out.
const deflateTail = "\x00\x00\xff\xff"

// deflateExtension is what both sides agree on for that (RFC 7692 §7.1).
const deflateExtension = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

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
