package snssqspubsub

import (
	"encoding/base64"
	"encoding/binary"
)

// maxBody is the longest message that SNS takes, and so many take all of one request,
// in bytes.
const maxBody = 256 << 10

// The first byte of a message says what it is.
const (
	kindMessage = 'm' // a topic and a payload
	kindGap     = 'g' // a topic, for a payload that was too large
	kindSign    = 's' // the name of a queue that lives
)

// encode returns a message as SNS and SQS carry it, which is text: what it is, and as
// base64 the length of a name, the name, and a payload.
func encode(kind byte, name string, payload []byte) string {
	raw := make([]byte, 0, binary.MaxVarintLen64+len(name)+len(payload))
	raw = binary.AppendUvarint(raw, uint64(len(name)))
	raw = append(append(raw, name...), payload...)
	text := make([]byte, 1, 1+base64.RawStdEncoding.EncodedLen(len(raw)))
	text[0] = kind
	return string(base64.RawStdEncoding.AppendEncode(text, raw))
}

// encodeMessage is encode for a payload, or the notice that takes its place.
func encodeMessage(topic string, payload []byte) string {
	size := 1 + base64.RawStdEncoding.EncodedLen(len(binary.AppendUvarint(nil, uint64(len(topic))))+len(topic)+len(payload))
	if size > maxBody {
		return encode(kindGap, topic, nil)
	}
	return encode(kindMessage, topic, payload)
}

// decode reads what encode has written; false: somebody else has.
func decode(body string) (kind byte, name string, payload []byte, ok bool) {
	if body == "" {
		return 0, "", nil, false
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(body[1:])
	if err != nil {
		return 0, "", nil, false
	}
	length, n := binary.Uvarint(raw)
	if n <= 0 || length > uint64(len(raw)-n) {
		return 0, "", nil, false
	}
	rest := raw[n:]
	return body[0], string(rest[:length]), rest[length:], true
}
