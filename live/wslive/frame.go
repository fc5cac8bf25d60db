package wslive

import (
	"encoding/binary"

	"lockstep/live"
)

// The first byte of a frame: FIN and the opcode (RFC 6455 §5.2).
const (
	textFrame  = 0x80 | 0x1
	closeFrame = 0x80 | 0x8
)

// encodeText makes a message into one unmasked text frame.
func encodeText(message []byte) []byte { return encodeFrame(textFrame, message) }

// encodeClose makes a close frame; a reason is cut to what fits.
func encodeClose(code live.Code, reason string) []byte {
	p := binary.BigEndian.AppendUint16(nil, uint16(code))
	return encodeFrame(closeFrame, append(p, reason[:min(len(reason), 123)]...))
}

// closeReason is the reason in an unmasked close frame, which may have none.
func closeReason(frame []byte) []byte {
	const header, code = 2, 2
	return frame[min(len(frame), header+code):]
}

func encodeFrame(first byte, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+10)
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}
