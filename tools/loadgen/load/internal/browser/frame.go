package browser

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

// Opcodes of websocket frames (RFC 6455, 11.8).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// maxMessage is the longest message of a server, in bytes.
const maxMessage = 1 << 20

var (
	errMasked  = errors.New("the server masks its frames")
	errTooLong = errors.New("the server sends a message of more than 1 MB")
	errFrame   = errors.New("the server sends a frame that is not of the websocket protocol")
)

// A frame is a websocket frame of a server. Its payload is a part of the bytes it was read from.
type frame struct {
	op      byte
	fin     bool
	payload []byte
}

// nextFrame is the first frame of b and its size, which is 0 if b ends before it does.
func nextFrame(b []byte) (frame, int, error) {
	if len(b) < 2 {
		return frame{}, 0, nil
	}
	if b[1]&0x80 != 0 {
		return frame{}, 0, errMasked
	}
	if b[0]&0x70 != 0 {
		return frame{}, 0, errFrame // an extension that was never agreed on
	}
	head, length := 2, uint64(b[1])
	switch {
	case length == 126 && len(b) >= 4:
		head, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127 && len(b) >= 10:
		head, length = 10, binary.BigEndian.Uint64(b[2:])
	case length >= 126:
		return frame{}, 0, nil
	}
	if length > maxMessage {
		return frame{}, 0, errTooLong
	}
	size := head + int(length)
	if len(b) < size {
		return frame{}, 0, nil
	}
	return frame{op: b[0] & 0x0f, fin: b[0]&0x80 != 0, payload: b[head:size]}, size, nil
}

// appendFrame appends a frame of a client: final and masked.
func appendFrame(b []byte, op byte, payload []byte, chance *rand.Rand) []byte {
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := binary.BigEndian.AppendUint32(nil, chance.Uint32())
	b = append(b, mask...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// closeCode is what a close frame says: 1005 if it says nothing (RFC 6455, 7.1.5).
func closeCode(payload []byte) int {
	if len(payload) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16(payload))
}
