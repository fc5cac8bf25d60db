// Package signedpubsub signs what replicas say to each other, on any broker: a
// driver around another one. Somebody who may publish on the broker, and does
// not have the replicas' keys, can then say nothing in their name.
//
// It keeps nothing secret: payloads travel as they are. It does not tell an old
// message from a new one either: what receives them must not mind a message
// that comes again.
package signedpubsub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"

	"lockstep/pubsub/driver"
)

// A signed payload is mark, the signature in base64url, and the payload. It is
// text when the payload is: brokers that carry text need no other encoding.
const (
	mark     = "s1:"
	macSize  = 16 // bytes, of the 32 of HMAC-SHA256: as RFC 2104 §5 allows
	textSize = (macSize*8 + 5) / 6
)

// Overhead is how many bytes a signature adds to a payload. They count towards
// what the broker can carry.
const Overhead = len(mark) + textSize

// purpose sets the keys apart from others that are made from the same secrets.
const purpose = "lockstep: messages between replicas"

// ErrNoKeys is returned by NewDriver without a key.
var ErrNoKeys = errors.New("signedpubsub: no keys")

// Options of a Driver. Zero values are the defaults.
type Options struct {
	// Prefix is what the broker's names of these replicas begin with. Signatures
	// cover it: a message of other replicas with the same secret, which somebody
	// has carried over from their prefix, is not theirs. Empty: there is none.
	Prefix string
	// Unsigned makes the driver send without signatures, and receive what has
	// none as a message that is not Trusted. It is for the first step of a
	// deploy over replicas that do not know signatures yet.
	Unsigned bool
}

// A Driver is a driver.Driver that signs what it publishes, and drops what has
// no valid signature: a Gap takes its place, with Forged set, so that who is
// subscribed reads the store. It may be used concurrently.
type Driver struct {
	inner    driver.Driver
	keys     []*key // the first signs, all are believed
	unsigned bool
}

// NewDriver returns a driver around another one. The keys are secrets of any
// length that all replicas share, at least one: the first signs, all are
// believed, so that they can be replaced one after the other. Nil options are
// the defaults.
func NewDriver(inner driver.Driver, secrets [][]byte, opts *Options) (*Driver, error) {
	if len(secrets) == 0 {
		return nil, ErrNoKeys
	}
	d := &Driver{inner: inner}
	if opts == nil {
		opts = &Options{}
	}
	d.unsigned = opts.Unsigned
	for _, secret := range secrets {
		d.keys = append(d.keys, newKey(secret, opts.Prefix))
	}
	return d, nil
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return d.inner.Name() }

// Unwrap implements driver.Unwrapper.
func (d *Driver) Unwrap() driver.Driver { return d.inner }

// Open implements driver.Driver.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	c, err := d.inner.Open(ctx)
	if err != nil {
		return nil, err
	}
	return conn{Conn: c, d: d}, nil
}

// conn is a connection whose messages are signed.
type conn struct {
	driver.Conn
	d *Driver
}

// Publish implements driver.Conn.
func (c conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if c.d.unsigned {
		return c.Conn.Publish(ctx, topic, payload)
	}
	return c.Conn.Publish(ctx, topic, c.d.sign(topic, payload))
}

// Receive implements driver.Conn.
func (c conn) Receive(ctx context.Context) (driver.Message, error) {
	m, err := c.Conn.Receive(ctx)
	if err != nil || m.Gap {
		return m, err
	}
	payload, ok := c.d.verify(m.Topic, m.Payload)
	switch {
	case !ok && c.d.unsigned && !isSigned(m.Payload):
		m.Trusted = false
		return m, nil
	case !ok:
		return driver.Message{Topic: m.Topic, Gap: true, Forged: true}, nil
	}
	return driver.Message{Topic: m.Topic, Payload: payload, Trusted: true}, nil
}

func (d *Driver) sign(topic string, payload []byte) []byte {
	mac := d.keys[0].sum(topic, payload)
	signed := make([]byte, 0, Overhead+len(payload))
	signed = append(signed, mark...)
	signed = base64.RawURLEncoding.AppendEncode(signed, mac[:])
	return append(signed, payload...)
}

// isSigned reports whether a payload may have a signature.
func isSigned(payload []byte) bool {
	return len(payload) >= Overhead && string(payload[:len(mark)]) == mark
}

// verify returns the payload of a signed one.
func (d *Driver) verify(topic string, signed []byte) (payload []byte, ok bool) {
	if !isSigned(signed) {
		return nil, false
	}
	// Strict: of the encodings of one signature only the canonical is taken.
	var given [macSize]byte
	if _, err := base64.RawURLEncoding.Strict().Decode(given[:], signed[len(mark):Overhead]); err != nil {
		return nil, false
	}
	payload = signed[Overhead:]
	for _, k := range d.keys {
		if mac := k.sum(topic, payload); hmac.Equal(mac[:], given[:]) {
			return payload, true
		}
	}
	return nil, false
}

// A key makes signatures. It may be used concurrently.
type key struct {
	derived []byte
	hashers sync.Pool // of *hasher: a new one costs more than a signature
}

// A hasher is one HMAC with its memory.
type hasher struct {
	hash.Hash
	buf []byte
}

func newKey(secret []byte, prefix string) *key {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(purpose + "\x00" + prefix))
	return &key{derived: m.Sum(nil)}
}

// sum signs a topic and a payload. The topic's length keeps a byte from
// moving from one to the other.
func (k *key) sum(topic string, payload []byte) (mac [macSize]byte) {
	h, ok := k.hashers.Get().(*hasher)
	if !ok {
		h = &hasher{Hash: hmac.New(sha256.New, k.derived)}
	}
	defer k.hashers.Put(h)
	h.Reset()
	h.buf = binary.BigEndian.AppendUint32(h.buf[:0], uint32(len(topic)))
	h.buf = append(h.buf, topic...)
	h.Write(h.buf)
	h.Write(payload)
	h.buf = h.Sum(h.buf[:0])
	copy(mac[:], h.buf)
	return mac
}
