package presence

import (
	"errors"
	"time"
)

// Bounds of what is kept of other replicas, and of what one of them says.
const (
	maxName  = 512       // bytes of the name of a replica, or of a topic
	maxCount = 1_000_000 // tabs of one topic on one replica
	maxPeers = 1024      // replicas
	// maxClaims is for all of them together: about 10 MB.
	maxClaims = 1 << 16
	// peerMemory is how long a replica is remembered after its last word, so
	// that what it has said does not count when it comes again.
	peerMemory = 10 * time.Minute
)

var errAnnouncement = errors.New("presence: not an announcement of a replica")

// valid reports whether a replica can have announced this.
func (a *announcement) valid() bool {
	if a.Replica == "" || len(a.Replica) > maxName || len(a.Counts) > chunk || len(a.Setting) > maxName {
		return false
	}
	for topic, n := range a.Counts {
		if topic == "" || len(topic) > maxName || n < none || n > maxCount {
			return false
		}
	}
	return true
}

// peers are the other replicas. The zero value is none.
type peers struct {
	all    map[string]*peer
	claims int // of all
}

// A peer is what one replica has announced.
type peer struct {
	number uint64 // of its last announcement
	heard  time.Time
	claims map[string]claim // by topic
}

// A claim is what another replica has announced of a topic.
type claim struct {
	n     int
	until time.Time
}

// count returns how many of topic the others have.
func (p *peers) count(topic string) (n int) {
	for _, one := range p.all {
		n += one.claims[topic].n
	}
	return n
}

// each returns how many of topic each has that takes part in it.
func (p *peers) each(topic string) (all []int) {
	for _, one := range p.all {
		if c, ok := one.claims[topic]; ok {
			all = append(all, c.n)
		}
	}
	return all
}

// since returns how many were heard after a time.
func (p *peers) since(when time.Time) (n int) {
	for _, one := range p.all {
		if one.heard.After(when) {
			n++
		}
	}
	return n
}

// hear takes note of an announcement. It reports false when it is not news: its
// number is not beyond the last one's, or there are too many replicas.
func (p *peers) hear(replica string, number uint64, now time.Time) bool {
	one := p.all[replica]
	if one == nil {
		if len(p.all) >= maxPeers {
			return false
		}
		if p.all == nil {
			p.all = make(map[string]*peer)
		}
		one = &peer{claims: make(map[string]claim)}
		p.all[replica] = one
	}
	if number > 0 && number <= one.number {
		return false
	}
	one.number, one.heard = max(number, one.number), now
	return true
}

// claim records how many of a topic a replica has that was heard. It reports
// whether that is another number than before.
func (p *peers) claim(replica, topic string, n int, until time.Time) (changed bool) {
	claims := p.all[replica].claims
	before, known := claims[topic]
	switch {
	case n < 0 && known:
		delete(claims, topic)
		p.claims--
	case n < 0 || !known && p.claims >= maxClaims:
		return false
	default:
		if !known {
			p.claims++
		}
		claims[topic] = claim{n: n, until: until}
	}
	return before.n != max(n, 0)
}

// expire forgets what has not been repeated. It returns the topics concerned.
func (p *peers) expire(now time.Time) (topics []string) {
	for replica, one := range p.all {
		for topic, c := range one.claims {
			if now.After(c.until) {
				delete(one.claims, topic)
				p.claims--
				topics = append(topics, topic)
			}
		}
		if len(one.claims) == 0 && now.Sub(one.heard) > peerMemory {
			delete(p.all, replica)
		}
	}
	return topics
}
