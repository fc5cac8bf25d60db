package app

import (
	"encoding/json"
	"errors"

	"lockstep/counter"
)

// counterTopic names a counter to the broker, the tabs and the presence.
func counterTopic(name string) string { return "counter:" + name }

// counterState is a counter's state as it travels through the broker.
type counterState struct {
	N       *int64 `json:"n"`
	Version uint64 `json:"v"`
	Epoch   uint64 `json:"e"`
}

func encodeCounter(v counter.Value) ([]byte, error) {
	return json.Marshal(counterState{N: &v.N, Version: v.Version, Epoch: v.Epoch})
}

// decodeCounter reads what came from the broker, which may be anything.
func decodeCounter(p []byte) (counter.Value, error) {
	var s counterState
	if err := json.Unmarshal(p, &s); err != nil {
		return counter.Value{}, errors.New("not a counter's state")
	}
	if s.N == nil || s.Epoch == 0 {
		return counter.Value{}, errors.New("an incomplete state of a counter")
	}
	return counter.Value{N: *s.N, Epoch: s.Epoch, Version: s.Version}, nil
}
