package natsstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/natsclient"
)

const (
	// stuck is how long a server may take nothing of what is written to it.
	stuck = 2 * time.Second
	// unanswered is how long JetStream may take to answer, of what it does in milliseconds. What is
	// asked while nobody leads is never answered, even when somebody does soon after.
	unanswered = 3 * time.Second
	// silence, twice, is how long a server may say nothing.
	silence = 2 * time.Second
)

// Headers of a batch.
const (
	batchHeader, batchSeqHeader, batchCommitHeader = "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"
)

// A link is one connection to a NATS server. When it is lost it stays so.
type link struct {
	// set once
	nc    *nats.Conn
	end   context.CancelFunc // of its socket
	inbox string             // with a dot at its end
	ended chan struct{}      // nats.go has ended
	turn  chan struct{}      // of size 1: held by who sends a batch, so that batches don't mix

	mu    sync.Mutex // guards the rest
	calls map[string]*call
	count uint64
	why   error // it has ended
}

// A call waits for replies.
type call struct {
	token   string
	subject string // where the request went
	enough  func(m *nats.Msg) bool
	replies []*nats.Msg // owned by link.reply until done is closed
	refused error       // by the server
	done    chan struct{}
}

// dial connects to one of the servers.
func dial(ctx context.Context, c natsclient.Config) (*link, error) {
	l := &link{ended: make(chan struct{}), turn: make(chan struct{}, 1), calls: make(map[string]*call)}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	undone := context.AfterFunc(ctx, end)
	var unreachable error
	o := c.Options
	o.FlusherTimeout, o.PingInterval, o.MaxPingsOut = stuck, silence, 1
	o.CustomDialer = c.Dialer(life, func(_ string, raw net.Conn, err error) (net.Conn, error) {
		if err != nil {
			unreachable = err
		}
		return raw, err
	})
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { l.noticed(err) }
	o.ClosedCB = func(nc *nats.Conn) { l.lost(nc.LastError()) }
	nc, err := o.Connect()
	if errors.Is(err, nats.ErrNoServers) && unreachable != nil {
		err = unreachable // which nats.go leaves out
	}
	if !undone() && err == nil { // ctx has ended: so has life
		err = ctx.Err()
	}
	l.nc = nc
	if err == nil {
		err = l.listen()
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("%s: %w", c.Places(), err)
	}
	return l, nil
}

// listen subscribes to the replies of all calls.
func (l *link) listen() error {
	l.inbox = l.nc.NewInbox() + "."
	sub, err := l.nc.Subscribe(l.inbox+"*", l.reply)
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, -1) // who calls bounds what is replied
}

// close ends the link, and waits for nats.go. A link that has not connected has
// nothing to close.
func (l *link) close() {
	l.end()
	if l.nc != nil {
		l.nc.Close()
		<-l.ended
	}
}

// alive reports whether the link has not been lost.
func (l *link) alive() bool {
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// lost takes in that nats.go has ended, once.
func (l *link) lost(err error) {
	l.mu.Lock()
	l.why = err
	if err == nil {
		l.why = nats.ErrConnectionClosed
	}
	l.mu.Unlock()
	l.end()
	close(l.ended)
}

// noticed takes in what a server says without being asked: what it does not permit
// belongs to the calls that went there.
func (l *link) noticed(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return // it comes with the end of the connection, or does no harm
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, c := range l.calls {
		// The server's words name the subject. Where it is the inbox that is not
		// permitted, no call can be answered.
		if strings.Contains(err.Error(), strconv.Quote(c.subject)) || strings.Contains(err.Error(), l.inbox) {
			c.refused = err
			delete(l.calls, token)
			close(c.done)
		}
	}
}

// reply takes in what comes back.
func (l *link) reply(m *nats.Msg) {
	token := strings.TrimPrefix(m.Subject, l.inbox)
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls[token]
	if c == nil {
		return // nobody waits for it any more
	}
	c.replies = append(c.replies, m)
	if c.enough(m) {
		delete(l.calls, token)
		close(c.done)
	}
}

// begin returns a call that waits until it has enough. wait ends it.
func (l *link) begin(subject string, enough func(m *nats.Msg) bool) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	c := &call{token: strconv.FormatUint(l.count, 36), subject: subject, enough: enough, done: make(chan struct{})}
	l.calls[c.token] = c
	return c
}

// wait returns the replies of a call.
func (l *link) wait(ctx context.Context, c *call) ([]*nats.Msg, error) {
	select {
	case <-c.done:
		return c.replies, c.refused
	case <-l.ended:
		l.drop(c)
		return nil, l.why
	case <-ctx.Done():
		l.drop(c)
		return nil, ctx.Err()
	}
}

func (l *link) drop(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, c.token)
}

func one(*nats.Msg) bool { return true }

// request sends one message, and returns the replies to it.
func (l *link) request(ctx context.Context, subject string, payload []byte, enough func(m *nats.Msg) bool) ([]*nats.Msg, error) {
	c := l.begin(subject, enough)
	if err := l.nc.PublishRequest(subject, l.inbox+c.token, payload); err != nil {
		l.drop(c)
		return nil, err
	}
	return l.wait(ctx, c)
}

// noResponders is what a server says when nobody has subscribed to a subject.
const noResponders = "503"

func status(m *nats.Msg) string { return m.Header.Get("Status") }

// An apiError is JetStream's own.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// Error implements error.
func (e *apiError) Error() string { return "JetStream: " + e.Description }

// Codes of JetStream's errors.
const (
	codeNoStream      = 10059
	codeWrongLast     = 10071
	codeWrongLastOnce = 10164 // of a batch
	codeNotEnabled    = 10076
	codeNotForAccount = 10039
	codeNotAvailable  = 10008
	codeNoPeers       = 10005
	codeNoResources   = 10023
	codeNoCluster     = 10074
)

var (
	errNobody   = errors.New("JetStream does not answer: it is not enabled, or has no leader")
	errNoAnswer = fmt.Errorf("JetStream has not answered within %s: it has no leader, or much to do", unanswered)
)

// api makes a call of JetStream's API, in JSON. The error is errNoAnswer when ctx goes on longer.
func (l *link) api(ctx context.Context, subject string, request, response any) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return err
	}
	while, cancel := context.WithTimeout(ctx, unanswered)
	defer cancel()
	replies, err := l.request(while, subject, payload, one)
	if err != nil && while.Err() != nil && ctx.Err() == nil {
		return errNoAnswer
	}
	if err != nil {
		return err
	}
	if status(replies[0]) == noResponders {
		return errNobody
	}
	return json.Unmarshal(replies[0].Data, response)
}

// A pubAck is how a stream answers a message, or a batch.
type pubAck struct {
	Error *apiError `json:"error"`
	Seq   uint64    `json:"seq"` // of the last message
	Count int       `json:"count"`
}

// publish stores messages, all or none, and returns the sequence of the first.
func (l *link) publish(ctx context.Context, messages []*nats.Msg) (first uint64, err error) {
	c, err := l.send(ctx, messages)
	if err != nil {
		return 0, err
	}
	replies, err := l.wait(ctx, c)
	if err != nil {
		return 0, err
	}
	m := replies[len(replies)-1]
	if status(m) == noResponders {
		return 0, errNobody
	}
	var ack pubAck
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("not the answer of a stream: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Count != len(messages) || ack.Seq < uint64(ack.Count) {
		return 0, fmt.Errorf("the stream has stored %d messages, want %d", ack.Count, len(messages))
	}
	return ack.Seq - uint64(ack.Count) + 1, nil
}

// send writes a batch. The first message is answered with nothing, or with what is
// wrong with the batch; the last one with what has become of it.
func (l *link) send(ctx context.Context, messages []*nats.Msg) (*call, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.ended:
		return nil, l.why
	}
	defer func() { <-l.turn }()
	c := l.begin(messages[0].Subject, func(m *nats.Msg) bool { return len(m.Data) > 0 || status(m) != "" })
	id := strings.TrimSuffix(strings.TrimPrefix(l.inbox, nats.InboxPrefix), ".") + "-" + c.token
	for i, m := range messages {
		m.Header.Set(batchHeader, id)
		m.Header.Set(batchSeqHeader, strconv.Itoa(i+1))
		if i == 0 || i == len(messages)-1 {
			m.Reply = l.inbox + c.token
		}
		if i == len(messages)-1 {
			m.Header.Set(batchCommitHeader, "1")
		}
		if err := l.nc.PublishMsg(m); err != nil {
			l.drop(c)
			return nil, err
		}
	}
	return c, nil
}

// rejected reports whether a batch was not stored because a message was not what it
// was expected to be.
func rejected(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && (e.ErrCode == codeWrongLast || e.ErrCode == codeWrongLastOnce)
}
