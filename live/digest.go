package live

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"lockstep/pubsub"
)

// A digest says which versions a replica has of the rooms that changed lately
// (as gossip protocols call it: Demers et al., "Epidemic Algorithms", 1987).
// Replicas broadcast theirs on one topic, over the path that states take. One
// that finds itself behind has missed a broadcast though its connection looks
// well: it reads the store, and subscribes anew when that goes on.
type digest map[string]revision

// A revision is an epoch and a version.
type revision [2]uint64

func (r revision) newer(o revision) bool { return r[0] > o[0] || r[0] == o[0] && r[1] > o[1] }

const (
	// digestMemory is how long after its last change a room is in the
	// digests: what is missed for longer, anti-entropy repairs.
	digestMemory = 5 * time.Second
	// digestGrace is how long a broadcast may take longer than a digest that
	// lists its version.
	digestGrace = 100 * time.Millisecond
	// digestRooms is how many rooms one message lists: with keys of 64
	// bytes that is within driver.MaxPayload.
	digestRooms = 32
	// maxDigest bounds one message, in bytes: keys may be longer than topics.
	maxDigest = 64 << 10
	// digestMessages bounds a digest. Of more rooms some are left out, each
	// time others.
	digestMessages = 16
	// digestMisses is how often a room may be found behind, with no broadcast
	// received in between, before its subscription is not trusted any more.
	digestMisses = 2
)

// errMissing: the connection is well and the topic subscribed, but its
// messages do not come.
var errMissing = errors.New("live: broadcasts do not arrive")

// announce broadcasts digests, and listens to those of others, for ever. When
// nothing changes it says nothing.
func (rs *Rooms[S]) announce() {
	listening := false
	for rs.rt.pause(jitter(rs.opts.Digest)) {
		if !listening {
			listening = rs.hub.SubscribeTopic(context.Background(), "digest:"+rs.opts.Name, rs.digestTopic(), rs.receiveDigest) == nil
		}
		for _, d := range rs.digests() {
			payload, err := json.Marshal(d)
			if err != nil {
				rs.rt.log.Error("digest", "err", err)
				continue
			}
			if err := rs.hub.Broadcast(context.Background(), rs.digestTopic(), payload); err != nil {
				break // the next ones come soon
			}
		}
	}
}

func (rs *Rooms[S]) digestTopic() string { return "_digest:" + rs.opts.Name }

// digests are of the rooms that changed lately.
func (rs *Rooms[S]) digests() []digest {
	all := make(digest)
	for _, r := range rs.open() {
		r.mu.Lock()
		if r.seq > 0 && time.Since(r.changed) < digestMemory {
			all[r.key] = r.known.at
		}
		r.mu.Unlock()
	}
	var parts []digest
	for some := range slices.Chunk(slices.Collect(maps.Keys(all)), digestRooms) {
		if len(parts) == digestMessages {
			break
		}
		part := make(digest, len(some))
		for _, key := range some {
			part[key] = all[key]
		}
		parts = append(parts, part)
	}
	return parts
}

// audit compares the digests of others with what is known here, for ever.
func (rs *Rooms[S]) audit() {
	for {
		select {
		case d := <-rs.received:
			if !rs.rt.pause(digestGrace) {
				return
			}
			rs.catchUp(rs.behind(d))
		case <-rs.rt.stopped:
			return
		}
	}
}

// receiveDigest takes in a digest that came through the broker. While audit is
// busy with one, others are left out: they come every second.
func (rs *Rooms[S]) receiveDigest(_ context.Context, m pubsub.Message) error {
	if m.Gap {
		return nil
	}
	if len(m.Payload) > maxDigest {
		return errors.New("live: a digest that is too long")
	}
	var d digest
	if err := json.Unmarshal(m.Payload, &d); err != nil {
		return errors.New("live: not a digest")
	}
	if len(d) > digestRooms {
		return errors.New("live: a digest of too many rooms")
	}
	select {
	case rs.received <- d:
	default:
	}
	return nil
}

// behind returns the open rooms that a digest has a newer version of.
func (rs *Rooms[S]) behind(d digest) []*stateRoom[S] {
	var behind []*stateRoom[S]
	for key, theirs := range d {
		rs.mu.Lock()
		r := rs.rooms[key]
		rs.mu.Unlock()
		if r == nil {
			continue
		}
		r.mu.Lock()
		if r.seq > 0 && theirs.newer(r.known.at) {
			behind = append(behind, r)
		}
		r.mu.Unlock()
	}
	return behind
}

// catchUp reads the store for rooms that may have missed a broadcast, and
// subscribes those anew that go on missing them. A digest is a hint: what the
// store does not bear out is no evidence of anything.
func (rs *Rooms[S]) catchUp(behind []*stateRoom[S]) {
	for _, r := range rs.refresh(behind) {
		r.mu.Lock()
		r.misses++
		distrust := r.misses >= digestMisses
		r.mu.Unlock()
		if distrust {
			rs.rt.log.Warn("subscribing anew", "topic", r.topic, "err", errMissing)
			rs.leave(r)
			rs.listen(r)
		}
	}
}
