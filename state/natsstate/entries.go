package natsstate

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"lockstep/state"
)

const (
	// atOnce is how many entries are asked for before it is known how many there are.
	atOnce = 16
	// sweepEvery is how many entries have to go until those before are deleted.
	sweepEvery = 128
)

// trimmed bounds how often it is begun anew because entries have gone.
const trimmed = 10

// Entries implements state.Store.
func (s *Store) Entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	if err := state.CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	for range trimmed {
		first, entries, err = s.entries(ctx, topic, after, most)
		if !errors.Is(err, errTrimmed) {
			break
		}
	}
	if err != nil {
		return 0, nil, fmt.Errorf("natsstate: entries: %w", err)
	}
	return first, entries, nil
}

// errTrimmed means that entries have gone while they were read.
var errTrimmed = errors.New("entries go faster than they can be read")

func (s *Store) entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	prefix, subject := s.subjects.log(topic), s.subjects.record(topic)
	subjects := append([]string{subject}, numbered(prefix, after+1, min(most, atOnce))...)
	seen, err := s.look(ctx, subjects)
	if err != nil {
		return 0, nil, err
	}
	r, err := readRecord(seen.messages[subject])
	if err != nil {
		return 0, nil, err
	}
	first = max(after+1, r.first)
	if after+1 == 0 || first >= r.next || most < 1 {
		return after + 1, nil, nil
	}
	n := min(uint64(most), r.next-first)
	for n := n; n > 0; {
		part := numbered(prefix, first+uint64(len(entries)), int(min(n, maxLast)))
		if _, has := seen.messages[part[len(part)-1]]; !has {
			if seen, err = s.look(ctx, part); err != nil {
				return 0, nil, err
			}
		}
		for _, subject := range part {
			m, has := seen.messages[subject]
			if !has {
				return 0, nil, errTrimmed
			}
			entries = append(entries, m.data)
		}
		n -= uint64(len(part))
	}
	return first, entries, nil
}

// numbered returns the subjects of n entries.
func numbered(prefix string, from uint64, n int) []string {
	if from == 0 || from+uint64(max(n, 0)) < from { // after the greatest number
		return nil
	}
	subjects := make([]string, 0, max(n, 0))
	for i := range n {
		subjects = append(subjects, prefix+strconv.FormatUint(from+uint64(i), 10))
	}
	return subjects
}

// sweep deletes, later, entries that do not stay, if enough have gone since the last
// time. Where that fails the next sweep does it.
func (s *Store) sweep(topic string, before, first uint64) {
	if before/sweepEvery == first/sweepEvery {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sweeping {
		return // the next one comes
	}
	s.sweeping = true
	s.sweeps.Go(func() { // ends with Close at the latest
		_ = s.purge(s.base, topic, first) // what stays takes room, and nobody reads it
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sweeping = false
	})
}

// A purgeRequest deletes what is on subjects before a sequence.
type purgeRequest struct {
	Filter string `json:"filter"`
	Seq    uint64 `json:"seq"`
}

// purge deletes the entries before one that is there.
func (s *Store) purge(ctx context.Context, topic string, first uint64) error {
	prefix := s.subjects.log(topic)
	oldest := numbered(prefix, first, 1)
	seen, err := s.look(ctx, oldest)
	if err != nil {
		return err
	}
	l, _, err := s.ready(ctx)
	if err != nil {
		return err
	}
	m, has := seen.messages[oldest[0]]
	if !has {
		return errTrimmed // by another sweep
	}
	var response struct {
		Error *apiError `json:"error"`
	}
	if err := l.api(ctx, s.subjects.api("STREAM.PURGE"), purgeRequest{prefix + "*", m.seq}, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return response.Error
	}
	return nil
}
