package natsstate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/pause"
	"lockstep/precondition"
)

const (
	// fresh is how long it is believed that the stream of a cluster has the leader
	// that it had. A server that is not in a cluster can't change behind its
	// connection; there the clock alone is looked at, every freshClock.
	fresh      = time.Second
	freshClock = time.Minute
	// tries bounds what is done again because others were faster; later says when.
	tries = 50
	// soonest and latest are between two tries.
	soonest = 5 * time.Millisecond
	latest  = 160 * time.Millisecond
	// oldest version of a server that stores several messages at once.
	oldestMajor, oldestMinor = 2, 12
)

// A life is the time in which a stream can't have lost anything, as far as can be
// seen from here.
type life struct {
	incarnation string // of the stream
	epoch       uint64
	at          uint64 // where the epoch is
	clustered   bool
	seen        time.Time     // by our clock; zero: it is in doubt
	offset      time.Duration // of the server's clock to ours
}

// streamInfo is what JetStream says of a stream.
type streamInfo struct {
	Error   *apiError    `json:"error"`
	Config  streamConfig `json:"config"`
	Created time.Time    `json:"created"`
	State   struct {
		LastSeq uint64 `json:"last_seq"`
	} `json:"state"`
	Cluster struct {
		RaftGroup   string    `json:"raft_group"`
		Leader      string    `json:"leader"`
		LeaderSince time.Time `json:"leader_since"`
		Replicas    []struct {
			Name    string `json:"name"`
			Offline bool   `json:"offline"`
		} `json:"replicas"`
	} `json:"cluster"`
	Now time.Time `json:"ts"`
}

// streamConfig is how a stream is set up.
type streamConfig struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Subjects    []string `json:"subjects"`
	Retention   string   `json:"retention"`
	Storage     string   `json:"storage"`
	Replicas    int      `json:"num_replicas"`
	MaxPer      int64    `json:"max_msgs_per_subject"`
	MaxMessages int64    `json:"max_msgs"`
	MaxBytes    int64    `json:"max_bytes"`
	MaxAge      int64    `json:"max_age"`
	Discard     string   `json:"discard"`
	FirstSeq    uint64   `json:"first_seq,omitempty"`
	Direct      bool     `json:"allow_direct"`
	TTL         bool     `json:"allow_msg_ttl"`
	Atomic      bool     `json:"allow_atomic"`
}

// incarnation returns what is different when the stream may have lost something. In
// a cluster that is its group and the term of its leader; elsewhere the run of the
// server that we are connected to.
func (i *streamInfo) incarnation(l *link) string {
	if i.Cluster.RaftGroup != "" {
		return fmt.Sprintf("%s of %s since %d", i.Cluster.RaftGroup, i.Cluster.Leader, i.Cluster.LeaderSince.UnixNano())
	}
	return fmt.Sprintf("%d on %s", i.Created.UnixNano(), l.nc.ConnectedServerId())
}

// ready returns a link to a server, and a life that is not in doubt.
func (s *Store) ready(ctx context.Context) (*link, life, error) {
	if err := ctx.Err(); err != nil {
		return nil, life{}, err
	}
	if l, now, err := s.current(); l != nil || err != nil {
		return l, now, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, life{}, ctx.Err()
	}
	defer func() { <-s.turn }()
	if l, now, err := s.current(); l != nil || err != nil { // by who had the turn
		return l, now, err
	}
	l, err := s.connected(ctx)
	if err != nil {
		return nil, life{}, err
	}
	now, err := s.verify(ctx, l)
	return l, now, err
}

// current returns the link and the life, if there is no doubt about them.
func (s *Store) current() (*link, life, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, life{}, errClosed
	}
	limit := freshClock
	if s.life.clustered {
		limit = fresh
	}
	if s.link == nil || !s.link.alive() || s.life.seen.IsZero() || time.Since(s.life.seen) > limit {
		return nil, life{}, nil
	}
	return s.link, s.life, nil
}

// doubt has the stream looked at before the next call.
func (s *Store) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.seen = time.Time{}
}

// connected returns a link that is alive. The caller has the turn.
func (s *Store) connected(ctx context.Context) (*link, error) {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l != nil && l.alive() {
		return l, nil
	}
	if l != nil {
		l.close()
	}
	config, err := s.where() // its files may have been replaced
	if err != nil {
		return nil, err
	}
	if l, err = dial(ctx, config); err != nil {
		return nil, err
	}
	if err := fits(l.nc); err != nil {
		l.close()
		return nil, err
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.link = l
	}
	s.mu.Unlock()
	if closed {
		l.close()
		return nil, errClosed
	}
	return l, nil
}

// fits returns why a server can't be used, or nil.
func fits(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	parts := strings.SplitN(version, ".", 3)
	var major, minor int
	if len(parts) == 3 {
		major, _ = strconv.Atoi(parts[0]) // 0 is too old, too
		minor, _ = strconv.Atoi(parts[1])
	}
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return fmt.Errorf("the server is NATS %s: the store needs 2.12 or later, which stores several messages at once", version)
	}
	if most := nc.MaxPayload(); most < maxPayload {
		return fmt.Errorf("max_payload is %d bytes: it must be %d at least, as it is by default", most, maxPayload)
	}
	return nil
}

// maxPayload is more than the largest message, a record.
const maxPayload = 600 << 10

// verify looks at the stream, and begins a new epoch where it may have lost
// something. The caller has the turn.
func (s *Store) verify(ctx context.Context, l *link) (life, error) {
	for try := range tries {
		if !later(ctx, try) {
			return life{}, ctx.Err()
		}
		before := time.Now()
		info, err := s.stream(ctx, l)
		if err != nil {
			return life{}, err
		}
		now, err := s.epoch(ctx, l, info)
		if rejected(err) {
			continue // another replica was faster
		}
		if err != nil {
			return life{}, err
		}
		s.tell(l, info, before, time.Now())
		now.seen, now.offset = time.Now(), info.Now.Sub(before.Add(time.Since(before)/2))
		s.settle(now, info.State.LastSeq)
		return now, nil
	}
	return life{}, errContended
}

// settle takes in what verify has found.
func (s *Store) settle(now life, high uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.epoch != s.life.epoch {
		s.memory, s.ages, s.high = newMemory(), ages{}, 0
	}
	s.life, s.top, s.high = now, max(s.top, now.epoch), max(s.high, high)
}

// errNotEnabled is of a server, or an account, without JetStream.
var errNotEnabled = errors.New("JetStream is not enabled: the server's configuration needs jetstream { store_dir: … }, and that of an account, too")

// Starting reports whether an error of Open says that the servers can't keep a stream
// yet: those of a cluster have to find each other.
func Starting(err error) bool {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.ErrCode == codeNotAvailable || e.ErrCode == codeNoPeers || e.ErrCode == codeNoResources
	}
	return errors.Is(err, errNobody) || errors.Is(err, errNoAnswer)
}

// stream returns what the stream is, and makes it if there is none.
func (s *Store) stream(ctx context.Context, l *link) (*streamInfo, error) {
	info, err := s.infoOrCreate(ctx, l)
	// One that another replica has just made is not there for all yet, though its name is; and nobody
	// may lead it.
	for try := 1; (missing(err) || errors.Is(err, errNoAnswer)) && try < tries && later(ctx, try); try++ {
		info, err = s.infoOrCreate(ctx, l)
	}
	if e, ok := errors.AsType[*apiError](err); ok && (e.ErrCode == codeNotEnabled || e.ErrCode == codeNotForAccount) {
		return nil, errNotEnabled
	}
	if errors.Is(err, errNobody) && l.nc.ConnectedClusterName() == "" {
		return nil, errNotEnabled
	}
	if err != nil {
		return nil, err
	}
	return info, s.fit(&info.Config)
}

func (s *Store) infoOrCreate(ctx context.Context, l *link) (*streamInfo, error) {
	info, err := s.info(ctx, l)
	if missing(err) {
		return s.create(ctx, l)
	}
	return info, err
}

// missing reports whether an error says that there is no stream.
func missing(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.ErrCode == codeNoStream
}

// info asks the stream's leader.
func (s *Store) info(ctx context.Context, l *link) (*streamInfo, error) {
	var info streamInfo
	if err := l.api(ctx, s.subjects.api("STREAM.INFO"), struct{}{}, &info); err != nil {
		return nil, err
	}
	if info.Error != nil {
		return nil, info.Error
	}
	return &info, nil
}

// create makes the stream. Its sequences, and so versions, begin with the time in
// µs: those of a stream that was there before are not used again.
func (s *Store) create(ctx context.Context, l *link) (*streamInfo, error) {
	config := s.wanted()
	config.Replicas = s.replicas
	if config.Replicas == 0 {
		config.Replicas = 1
		if l.nc.ConnectedClusterName() != "" {
			config.Replicas = 3
		}
	}
	config.FirstSeq = uint64(time.Now().UnixMicro())
	var info streamInfo
	err := l.api(ctx, s.subjects.api("STREAM.CREATE"), config, &info)
	if err == nil && info.Error != nil && info.Error.ErrCode == codeNoCluster && s.replicas == 0 {
		config.Replicas, info = 1, streamInfo{} // one server that has a name for its cluster
		err = l.api(ctx, s.subjects.api("STREAM.CREATE"), config, &info)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case info.Error == nil:
		return s.info(ctx, l) // the leader's, which may be another server
	case info.Error.ErrCode == codeNameInUse: // another replica was faster
		return s.info(ctx, l)
	case info.Error.ErrCode == codeNotEnabled || info.Error.ErrCode == codeNotForAccount:
		return nil, info.Error
	}
	return nil, fmt.Errorf("the stream %s of %d replicas can't be made (?replicas= in the URL says how many): %w", config.Name, config.Replicas, info.Error)
}

// codeNameInUse is of a stream that is there, and is set up in another way.
const codeNameInUse = 10058

// wanted is how the stream has to be.
func (s *Store) wanted() streamConfig {
	return streamConfig{
		Name: s.subjects.stream, Description: "states of lockstep, by package natsstate", Subjects: []string{s.subjects.all()},
		Retention: "limits", Storage: "file", MaxPer: 1, MaxMessages: -1, MaxBytes: -1, Discard: "old",
		Direct: true, TTL: true, Atomic: true,
	}
}

// fit returns why a stream can't be used, or nil.
func (s *Store) fit(c *streamConfig) error {
	want := s.wanted()
	for _, setting := range []struct {
		name  string
		right bool
	}{
		{"subjects: " + want.Subjects[0], len(c.Subjects) == 1 && c.Subjects[0] == want.Subjects[0]},
		{"retention: limits", c.Retention == want.Retention},
		{"max_msgs_per_subject: 1", c.MaxPer == want.MaxPer},
		{"max_age: 0", c.MaxAge == 0},
		{"allow_direct", c.Direct},
		{"allow_msg_ttl", c.TTL},
		{"allow_atomic (a server before 2.12 does not know it)", c.Atomic},
	} {
		if !setting.right {
			return fmt.Errorf("the stream %s can't be used: it must have %s", want.Name, setting.name)
		}
	}
	return nil
}

// tell says what the stream and its servers do not meet.
func (s *Store) tell(l *link, info *streamInfo, before, after time.Time) {
	if s.unmet == nil {
		return
	}
	all := append(precondition.Clock("nats_clock", before, info.Now, after), s.unmetBy(info)...)
	s.unmet.Saw("", cmp.Or(info.Cluster.RaftGroup, l.nc.ConnectedServerId()), all...)
}

// unmetBy is what a stream does not meet.
func (s *Store) unmetBy(info *streamInfo) (all []precondition.Unmet) {
	add := func(name string, is bool, text string) {
		if is {
			all = append(all, precondition.Unmet{Name: name, Text: text})
		}
	}
	c := &info.Config
	add("nats_storage", c.Storage != "file",
		"the stream is kept in memory: what it has acknowledged is lost when its servers stop; make it anew with file storage")
	add("nats_discard", c.Discard == "old" && (c.MaxBytes > 0 || c.MaxMessages > 0),
		"the stream drops the oldest states when it is full: it must have discard: new, or no limits")
	add("nats_sync", c.Replicas < 3 && !s.synced,
		"the stream is on fewer than three servers, and NATS does not tell whether they have sync_interval: always; "+
			"without it what they have acknowledged in the last two minutes is lost when a machine crashes; "+
			"set it and say so by ?sync=always in the URL, or have three replicas that do not fail together")
	add("nats_replicas", c.Replicas < s.replicas, "the stream has fewer replicas than the URL says: nats stream edit changes it")
	offline := false
	for _, r := range info.Cluster.Replicas {
		offline = offline || r.Offline
	}
	add("nats_offline", offline, "a replica of the stream is offline: the loss of another one may stop the store")
	return all
}

// An epochMessage is what is on the subject of the epoch.
type epochMessage struct {
	Epoch       uint64 `json:"epoch"`
	Incarnation string `json:"incarnation"`
}

// epoch returns the life that the stream is in, and begins it if there is need. What
// another replica has begun meanwhile is an error that rejected knows.
func (s *Store) epoch(ctx context.Context, l *link, info *streamInfo) (life, error) {
	subject := s.subjects.epoch()
	got, err := s.last(ctx, l, info.State.LastSeq, []string{subject})
	if err != nil {
		return life{}, err
	}
	m := got[subject]
	var is epochMessage
	if m.seq > 0 {
		if err := json.Unmarshal(m.data, &is); err != nil {
			return life{}, fmt.Errorf("on %s: %w", subject, errFormat)
		}
	}
	now := life{incarnation: info.incarnation(l), epoch: is.Epoch, at: m.seq, clustered: info.Cluster.RaftGroup != ""}
	s.mu.Lock()
	high, top := s.high, s.top
	s.mu.Unlock()
	if m.seq > 0 && is.Incarnation == now.incarnation && (now.clustered || info.State.LastSeq >= high) && is.Epoch >= top {
		return now, nil
	}
	now.epoch = max(is.Epoch+1, top+1, uint64(info.Now.UnixMilli()))
	data, err := json.Marshal(epochMessage{now.epoch, now.incarnation})
	if err != nil {
		return life{}, err
	}
	now.at, err = l.publish(ctx, []*nats.Msg{put(subject, m.seq, data)})
	return now, err
}

// maxLast is how many subjects are asked for at once: a server answers 1,024. They
// are cut into pages of maxPage bytes, so that a server does not take us for a slow
// consumer.
const (
	maxLast = 1000
	maxPage = 8 << 20
)

// last returns the messages on subjects, from a server that has all up to floor. The
// messages that one call returns for up to maxLast subjects and maxPage bytes are of
// one moment.
func (s *Store) last(ctx context.Context, l *link, floor uint64, subjects []string) (map[string]message, error) {
	got := make(map[string]message, len(subjects))
	for len(subjects) > 0 {
		part := subjects[:min(len(subjects), maxLast)]
		more, err := s.page(ctx, l, floor, part, got)
		if err != nil {
			return nil, err
		}
		if !more {
			subjects = subjects[len(part):]
			continue
		}
		// What is left is asked for again; no message is too large for a page.
		var left []string
		for _, subject := range subjects {
			if _, ok := got[subject]; !ok {
				left = append(left, subject)
			}
		}
		subjects = left
	}
	return got, nil
}

// A lastRequest asks for the last messages of subjects.
type lastRequest struct {
	Subjects []string `json:"multi_last"`
	MaxBytes int      `json:"max_bytes"`
}

// page asks for the messages on subjects, and reports whether there are more.
func (s *Store) page(ctx context.Context, l *link, floor uint64, subjects []string, got map[string]message) (more bool, err error) {
	payload, err := json.Marshal(lastRequest{subjects, maxPage})
	if err != nil {
		return false, err
	}
	for try := range tries {
		if !later(ctx, try) {
			return false, ctx.Err()
		}
		replies, err := l.request(ctx, s.subjects.api("DIRECT.GET"), payload, func(m *nats.Msg) bool { return status(m) != "" })
		if err != nil {
			return false, err
		}
		end := replies[len(replies)-1]
		switch status(end) {
		case "204":
			upTo := header(end, "Nats-UpTo-Sequence")
			if upTo < floor {
				continue // a replica of the stream that is behind
			}
			s.rise(upTo)
		case "404":
			if end.Header.Get("Description") != "No Results" {
				continue // a message has gone between two looks
			}
			return false, nil
		case noResponders:
			if l.nc.ConnectedClusterName() == "" || try > tries/4 {
				return false, errNobody
			}
			continue // a stream that was just made is not there for all
		default:
			return false, fmt.Errorf("JetStream: %s %s", status(end), end.Header.Get("Description"))
		}
		for _, m := range replies[:len(replies)-1] {
			got[m.Header.Get("Nats-Subject")] = message{header(m, "Nats-Sequence"), m.Data}
		}
		return header(end, "Nats-Num-Pending") > 0, nil
	}
	return false, errors.New("the replicas of the stream are behind its leader")
}

// header returns a number.
func header(m *nats.Msg, name string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(name), 10, 64) // they are the server's
	return n
}

// What look has seen.
type seen struct {
	epoch    uint64
	messages map[string]message
}

// look returns the messages on subjects, not older than the call, and the epoch that
// they are of.
func (s *Store) look(ctx context.Context, subjects []string) (seen, error) {
	for try := range tries {
		if !later(ctx, try) {
			return seen{}, ctx.Err()
		}
		l, now, err := s.ready(ctx)
		if err != nil {
			return seen{}, err
		}
		got, err := s.lookAt(ctx, l, &now, append([]string{s.subjects.epoch()}, subjects...))
		if errors.Is(err, errNobody) { // the stream has gone, perhaps
			s.doubt()
			continue
		}
		if err != nil {
			s.doubt()
			return seen{}, err
		}
		if at := got[s.subjects.epoch()]; at.seq == now.at {
			return seen{now.epoch, got}, nil
		}
		s.doubt() // of a life that has ended, or begun elsewhere
	}
	return seen{}, errNobody
}

// lookAt is last, behind what the stream's leader has. Nothing is returned where it
// has another leader than in the life.
func (s *Store) lookAt(ctx context.Context, l *link, now *life, subjects []string) (map[string]message, error) {
	if !now.clustered {
		return s.last(ctx, l, 0, subjects)
	}
	info, err := s.info(ctx, l)
	if err != nil {
		return nil, err
	}
	if info.incarnation(l) != now.incarnation {
		return nil, nil
	}
	s.mu.Lock()
	floor := max(info.State.LastSeq, s.high) // a leader may be behind its followers, too
	s.mu.Unlock()
	return s.last(ctx, l, floor, subjects)
}

// later waits until it is time for another try: not before the first one, hardly
// before the second one, and then longer each time. In a cluster a batch may be on
// its way to a leader's own copy of the stream: it is not seen yet, and others of its
// subjects are rejected. later reports whether the context has not ended.
func later(ctx context.Context, try int) bool {
	if try == 0 {
		return true
	}
	most := min(soonest<<min(try-1, 10), latest)
	return pause.For(ctx, most/2+rand.N(most/2))
}
