package natsstate

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/natsclient"
	"lockstep/state"
)

// subjects are where things are, below a root: one message is on each.
//
//	epoch               what the epoch is, and of which life of the stream
//	ages                how old lanes are
//	r.TOPIC             the record, with data and the numbers of its log
//	l.TOPIC.NUMBER      an entry of the log
//	n.TOPIC.CLIENT      a lane
type subjects struct {
	root   string
	stream string
}

func newSubjects(prefix string) subjects {
	root := natsclient.Root(prefix)
	return subjects{root, natsclient.Name(root)}
}

func (s subjects) all() string                { return s.root + ".>" }
func (s subjects) epoch() string              { return s.root + ".epoch" }
func (s subjects) ages() string               { return s.root + ".ages" }
func (s subjects) record(topic string) string { return s.root + ".r." + natsclient.Token(topic) }
func (s subjects) log(topic string) string    { return s.root + ".l." + natsclient.Token(topic) + "." }
func (s subjects) lanes(topic string) string  { return s.root + ".n." + natsclient.Token(topic) + "." }

// of is what subjects of JetStream's API end with.
func (s subjects) api(verb string) string { return "$JS.API." + verb + "." + s.stream }

// A message is the one on a subject. The zero message is none.
type message struct {
	seq  uint64
	data []byte
}

const (
	expectedHeader = "Nats-Expected-Last-Subject-Sequence"
	streamHeader   = "Nats-Expected-Stream"
	ttlHeader      = "Nats-TTL"
)

// put returns a message that is stored only where seq is the last on its subject; 0
// is none.
func put(subject string, seq uint64, data []byte) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(expectedHeader, strconv.FormatUint(seq, 10))
	m.Data = data
	return m
}

// expires has a message go after a time.
func expires(m *nats.Msg, after time.Duration) *nats.Msg {
	m.Header.Set(ttlHeader, strconv.FormatInt(int64(after/time.Second)+1, 10)+"s")
	return m
}

// format begins what is stored, so that another one can be told.
const format = 1

var errFormat = errors.New("a message that this program has not written")

// A record is what is stored of a topic.
type record struct {
	version uint64 // its sequence; 0: there is none
	first   uint64 // the oldest log entry that stays
	next    uint64 // the number of the next entry
	data    []byte
}

// readRecord reads a record. Its data is that of the message.
func readRecord(m message) (r record, err error) {
	r = record{version: m.seq, first: 1, next: 1}
	if m.seq == 0 {
		return r, nil
	}
	d := decoder{rest: m.data}
	d.format()
	r.first, r.next = d.number(), d.number()
	if d.failed || r.first < 1 || r.first > r.next {
		return r, errFormat
	}
	if len(d.rest) > 0 {
		r.data = d.rest
	}
	return r, nil
}

func (r *record) bytes() []byte {
	b := make([]byte, 0, len(r.data)+2*binary.MaxVarintLen64+1)
	b = append(b, format)
	b = binary.AppendUvarint(b, r.first)
	b = binary.AppendUvarint(b, r.next)
	return append(b, r.data...)
}

// Kinds of lanes.
const (
	isLive = 0
	isDone = 1
)

// A lane is what is stored of a client.
type lane struct {
	seq  uint64 // its sequence; 0: there is none
	done bool
	mark uint64 // the number of the age, of lanes or of those that are done
	state.Lane
}

// readLane reads a lane. What it refuses is that of the message.
func readLane(m message) (l lane, err error) {
	l.seq = m.seq
	if m.seq == 0 {
		return l, nil
	}
	d := decoder{rest: m.data}
	d.format()
	kind := d.number()
	l.done, l.mark, l.Last = kind == isDone, d.number(), d.number()
	behind := d.number()
	if d.failed || kind > isDone || behind > l.Last {
		return l, errFormat
	}
	l.From = l.Last - behind
	if len(d.rest) > 0 {
		l.Refused = d.rest
	}
	return l, nil
}

func (l *lane) bytes() []byte {
	b := make([]byte, 0, len(l.Refused)+16)
	b = append(b, format, isLive)
	if l.done {
		b[1] = isDone
	}
	b = binary.AppendUvarint(b, l.mark)
	b = binary.AppendUvarint(b, l.Last)
	b = binary.AppendUvarint(b, l.Last-l.From)
	return append(b, l.Refused...)
}

// A decoder reads numbers.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) format() {
	if len(d.rest) == 0 || d.rest[0] != format {
		d.failed = true
		return
	}
	d.rest = d.rest[1:]
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}
