// Package redisstate keeps states in Redis 7 or later (or Valkey), for all
// replicas that share it. Each step of a Commit is one script, which Redis runs
// as one step.
//
// The promise is as strong as Redis's persistence: with appendfsync always an
// acknowledged op survives a crash of any process; with everysec a crash of
// Redis may lose up to about two seconds of acknowledged ops, without an
// append-only file everything since the last snapshot. A loss is noticed when
// Redis has been started anew: the epoch grows, and tabs follow the older state
// instead of keeping the newer. After FLUSHALL the clock of the Redis server
// alone makes the new epoch: it must not have been set back.
//
// Lanes of topics that nobody uses are forgotten by Redis itself, three
// lifetimes and an hour after their last age, by its clock. So when that jumps
// ahead by more than 13/7 of a lifetime and an hour, lanes are forgotten before
// their time: with the defaults, at 14 days, and at 78 minutes those that are
// done.
package redisstate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/precondition"
	"lockstep/state"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Prefix sets applications apart that share a Redis. It must not contain
	// braces. Default "lockstep:".
	Prefix string
	// Lifetime is how long a lane is known at least after its last move.
	// Default state.Lifetime.
	Lifetime time.Duration
	// DoneLifetime is how long a lane is known at least after Finish. Default
	// state.DoneLifetime.
	DoneLifetime time.Duration
	// Preconditions is told what each server does not meet; nil: nobody.
	Preconditions *precondition.Part
	// Counter says what becomes of the counters that an earlier version of this
	// program kept under the prefix; see takeOver. Nil: they are an error of Open.
	Counter Counter
}

// A Counter gives a former counter a topic, to each name another, and the data
// that it begins with. It may be called more than once for a name.
type Counter = func(name string, n int64) (topic string, data []byte)

// tags is how many parts an application's topics are in. All keys of a part
// are in one hash slot, "{prefix/0}…" and so on: a script may touch one slot
// only, and so the nodes of a cluster share the work. It never changes.
const tags = 16

// A Store is a state.Store in Redis. Each of its parts has an epoch.
type Store struct {
	pool           *redisclient.Pool
	prefix         string
	tags           [tags]string
	lifetime, done time.Duration
	ahead          atomic.Int64 // ms; what tests add to the server's clock
	seen           [tags]newest // epochs of the parts

	commit, read, entries, finish script
}

// Open connects to the Redis at a redis://, redis+cluster:// or redis+sentinel://
// URL, or one with rediss for TLS, as package redisclient reads it, and reads
// from it once: scripts work there, and its keys are here. Its errors do not
// contain the URL.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	return open(ctx, opts, func(seen *precondition.Part) (*redisclient.Pool, error) { return redisclient.NewPool(url, seen) })
}

// OpenLike is Open for the Redis that a client leads to, a *redis.Client or a *redis.ClusterClient:
// with its address, dialler, TLS, user, database and OnConnect. The store has connections of its
// own, 8 at most for each server, and never uses or closes those of the client: go-redis sends a
// call again whose answer was lost, and must not here. The client must stay open only if its
// dialler needs it, as that of NewFailoverClient does.
func OpenLike(ctx context.Context, client redis.UniversalClient, opts *Options) (*Store, error) {
	return open(ctx, opts, func(seen *precondition.Part) (*redisclient.Pool, error) { return redisclient.PoolLike(client, seen) })
}

// open opens a store over what pool returns.
func open(ctx context.Context, opts *Options, pool func(seen *precondition.Part) (*redisclient.Pool, error)) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s, err := newStore(&o)
	if err != nil {
		return nil, err
	}
	if s.pool, err = pool(o.Preconditions); err != nil {
		return nil, fmt.Errorf("redisstate: %w", err)
	}
	if err := s.begin(ctx, o.Counter); err != nil {
		return nil, errors.Join(fmt.Errorf("redisstate: %w", atStart(err)), s.pool.Close())
	}
	return s, nil
}

// newStore returns a store that has no pool yet.
func newStore(o *Options) (*Store, error) {
	s := &Store{
		prefix: cmp.Or(o.Prefix, "lockstep:"), lifetime: state.Lifetime, done: state.DoneLifetime,
		commit: newScript(commitScript), read: newScript(readScript), entries: newScript(entriesScript), finish: newScript(finishScript),
	}
	if o.Lifetime > 0 {
		s.lifetime = o.Lifetime
	}
	if o.DoneLifetime > 0 {
		s.done = o.DoneLifetime
	}
	if strings.ContainsAny(s.prefix, "{}") {
		return nil, fmt.Errorf("redisstate: the prefix %q contains braces, which Redis Cluster gives a meaning", s.prefix)
	}
	for i := range s.tags {
		s.tags[i] = "{" + s.prefix + "/" + strconv.Itoa(i) + "}"
	}
	return s, nil
}

// begin makes the first calls.
func (s *Store) begin(ctx context.Context, counter Counter) error {
	all := make([]group, tags)
	for tag := range all {
		all[tag].tag = tag
	}
	if _, err := s.readGroups(ctx, nil, all); err != nil {
		return err
	}
	return s.takeOver(ctx, counter)
}

// atStart explains an error of the first call.
func atStart(err error) error {
	if strings.HasPrefix(err.Error(), "MOVED ") || strings.HasPrefix(err.Error(), "CROSSSLOT ") {
		return errors.New("the server is one node of a Redis Cluster: write redis+cluster:// (with TLS rediss+cluster://)")
	}
	return err
}

// tagOf returns the part that a topic is in.
func tagOf(topic string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(topic)) // it does not fail
	return int(h.Sum32() % tags)
}

// Keys are those of a topic's record, log and lanes: see scripts.go.
func (s *Store) record(topic string) string { return s.tags[tagOf(topic)] + "state:" + topic }
func (s *Store) log(topic string) string    { return s.tags[tagOf(topic)] + "log:" + topic }
func (s *Store) fence(tag int) string       { return s.tags[tag] + "fence" }

// withLanes returns the keys that scripts with lanes begin with.
func (s *Store) withLanes(topic string) []string {
	tag := s.tags[tagOf(topic)]
	return []string{s.record(topic), tag + "lanes:" + topic, tag + "older:" + topic, tag + "done:" + topic, tag + "gone:" + topic}
}

// Commit implements state.Store.
func (s *Store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	calls := make([]call, len(steps))
	for i := range steps {
		calls[i] = s.commitCall(&steps[i])
	}
	outcomes := make([]state.Outcome, len(steps))
	for i, reply := range s.run(ctx, s.commit, calls...) {
		err := reply.err
		if err == nil {
			outcomes[i], err = readOutcome(reply.values, &steps[i])
			s.seen[tagOf(steps[i].Topic)].saw(outcomes[i].Record.Epoch)
		}
		if err != nil {
			outcomes[i] = state.Outcome{Err: fmt.Errorf("redisstate: commit: %w", err)}
		}
	}
	return outcomes
}

// A group is those topics of a Read, by number, that are in one part.
type group struct {
	tag    int
	topics []int
}

// Read implements state.Store. In a cluster the round trip is one call for
// each part, and side by side; else it is one call.
func (s *Store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil {
		return nil, err
	}
	if len(topics) == 0 {
		return nil, ctx.Err()
	}
	all := make([]group, tags)
	for i, topic := range topics {
		g := &all[tagOf(topic)]
		g.tag, g.topics = tagOf(topic), append(g.topics, i)
	}
	records, err := s.readGroups(ctx, topics, slices.DeleteFunc(all, func(g group) bool { return len(g.topics) == 0 }))
	if err != nil {
		return nil, fmt.Errorf("redisstate: read: %w", err)
	}
	return records, nil
}

// readGroups reads topics that are in groups.
func (s *Store) readGroups(ctx context.Context, topics []string, groups []group) ([]state.Record, error) {
	together := len(groups)
	if s.cluster() {
		together = 1
	}
	chunks := slices.Collect(slices.Chunk(groups, together))
	calls := make([]call, len(chunks))
	for i, chunk := range chunks {
		calls[i] = s.readCall(topics, chunk)
	}
	records := make([]state.Record, len(topics))
	for i, reply := range s.run(ctx, s.read, calls...) {
		if reply.err != nil {
			return nil, reply.err
		}
		if err := readReply(reply.values, chunks[i], records); err != nil {
			return nil, err
		}
		for _, g := range chunks[i] {
			for _, topic := range g.topics {
				s.seen[g.tag].saw(records[topic].Epoch)
			}
		}
	}
	return records, nil
}

// newest is the greatest of numbers that were seen.
type newest struct{ atomic.Uint64 }

func (n *newest) saw(v uint64) {
	for {
		old := n.Load()
		if v <= old || n.CompareAndSwap(old, v) {
			return
		}
	}
}

// Entries implements state.Store.
func (s *Store) Entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	if err := state.CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	reply := s.run(ctx, s.entries, call{
		[]string{s.record(topic), s.log(topic)},
		[]any{s.ahead.Load(), after, min(max(most, 0), math.MaxInt32)},
	})[0]
	if err = reply.err; err == nil {
		first, entries, err = readEntries(reply.values, after)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("redisstate: entries: %w", err)
	}
	return first, entries, nil
}

// Finish implements state.Store.
func (s *Store) Finish(ctx context.Context, marks ...state.Mark) error {
	topics := make([]string, len(marks))
	for i := range marks {
		topics[i] = marks[i].Topic
	}
	if err := state.CheckRead(topics...); err != nil {
		return err
	}
	var calls []call
	where := make(map[string]int, len(marks)) // topics to calls
	for i, topic := range topics {
		n, ok := where[topic]
		if !ok {
			n, where[topic] = len(calls), len(calls)
			calls = append(calls, call{s.withLanes(topic), []any{s.ahead.Load(), s.done.Milliseconds()}})
		}
		calls[n].args = append(calls[n].args, marks[i].Client[:], marks[i].UpTo)
	}
	for _, reply := range s.run(ctx, s.finish, calls...) {
		if reply.err != nil {
			return fmt.Errorf("redisstate: finish: %w", reply.err)
		}
	}
	return nil
}

// Close implements state.Store.
func (s *Store) Close() error {
	if err := s.pool.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
