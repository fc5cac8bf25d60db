package natsembedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// Complete returns why not exactly n peers count and have their places, or why not all streams are
// on as many as they should be, each up to date, or nil.
func (s *Server) Complete(ctx context.Context, n int) error {
	var info struct {
		server.ApiResponse
		Streams []struct {
			Config  server.StreamConfig `json:"config"`
			Cluster *server.ClusterInfo `json:"cluster"`
			State   server.StreamState  `json:"state"`
		} `json:"streams"`
	}
	m, err := s.conn.RequestWithContext(ctx, server.JSApiStreamList, nil)
	if err == nil {
		err = json.Unmarshal(m.Data, &info)
	}
	if err = errors.Join(err, info.ToError()); err != nil {
		return err
	}
	js, err := s.nats.Jsz(nil)
	if err != nil {
		return err
	}
	if js.Meta.Size != n {
		return fmt.Errorf("%d peers count", js.Meta.Size)
	}
	places := 0
	for _, stream := range info.Streams {
		if stream.Config.Name == "KV_"+membersBucket {
			places = int(stream.State.Msgs)
		}
		current := 1
		for _, r := range stream.Cluster.Replicas {
			if r.Current && !r.Offline && !r.Pending {
				current++
			}
		}
		if current != stream.Config.Replicas || len(stream.Cluster.Replicas)+1 != stream.Config.Replicas {
			return fmt.Errorf("%s is on %d of %d", stream.Config.Name, current, stream.Config.Replicas)
		}
	}
	if places < n {
		return fmt.Errorf("%d peers have taken their places", places)
	}
	return nil
}

// ErrThere is of a peer that is not replaced.
var ErrThere = errThere

// Replace does once what a server with Replaces does when it starts.
func (s *Server) Replace(ctx context.Context, addr string) error {
	members, err := s.directory(ctx, &cluster{})
	if err != nil {
		return err
	}
	return s.take(ctx, members, addr, "")
}
