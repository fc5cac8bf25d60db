package natsembedded

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS counts a server that does not come back for ever: a majority is one of all that ever were
// there. So each server says in a bucket who it is at its address. Who finds another one at the own
// address, or at one that it replaces, has that removed, and NATS copies what it kept elsewhere.

// membersBucket has who is at each address, on as many servers as keep the states.
const membersBucket = "lockstep-members"

const (
	answerTimeout = 5 * time.Second // of JetStream, which answers in milliseconds or not at all
	joinAgain     = time.Second
)

// join has the server take its place in the cluster. The goroutine ends when it has, or with Stop.
func (s *Server) join(c *cluster) {
	ctx, cut := context.WithCancel(context.Background())
	s.cut = cut
	s.members.Go(func() {
		tick := time.NewTicker(joinAgain)
		defer tick.Stop()
		tell := time.Now().Add(tellAgain)
		for {
			err := s.takePlaces(ctx, c)
			if err == nil || ctx.Err() != nil {
				return
			}
			if now := time.Now(); now.After(tell) {
				tell = now.Add(tellAgain)
				s.log.Warn("a place in the cluster is not taken yet", "err", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// takePlaces takes the own place, and those of the peers that this one replaces.
func (s *Server) takePlaces(ctx context.Context, c *cluster) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return err // what is asked while nobody leads is never answered
	}
	members, err := s.directory(ctx, c)
	if err != nil {
		return err
	}
	if err := s.take(ctx, members, c.own, s.nats.Node()); err != nil {
		return err
	}
	for _, addr := range c.replaces {
		if err := s.take(ctx, members, addr, ""); err != nil {
			return err
		}
	}
	return nil
}

// directory is the bucket, made where there is none.
func (s *Server) directory(ctx context.Context, c *cluster) (jetstream.KeyValue, error) {
	js, err := jetstream.New(s.conn)
	if err != nil {
		return nil, err
	}
	members, err := js.KeyValue(ctx, membersBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		members, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: membersBucket, Description: "who is at each address, by package natsembedded", Replicas: c.kept(),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the bucket of the peers: %w", err)
	}
	return members, nil
}

// take removes who was at an address, and writes down who is; "" is nobody. Nobody is written down,
// too: a copy of the bucket that is behind knows nobody where there is somebody, and only what is
// written is compared with what all of them have.
func (s *Server) take(ctx context.Context, members jetstream.KeyValue, addr, now string) error {
	was, err := members.Get(ctx, key(addr))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		_, err = members.Create(ctx, key(addr), []byte(now))
		return err
	}
	if err != nil {
		return fmt.Errorf("who is at %s: %w", addr, err)
	}
	id := string(was.Value())
	if id == now {
		return nil
	}
	if id != "" {
		if err := s.remove(ctx, id, addr); err != nil {
			return fmt.Errorf("the removal of who was at %s: %w", addr, err)
		}
	}
	_, err = members.Update(ctx, key(addr), []byte(now), was.Revision())
	return err
}

// key returns the key of an address.
func key(addr string) string {
	var b strings.Builder
	for _, c := range []byte(addr) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

// errThere is of a peer that is not removed: it is another one that has come to the address since,
// or went a moment ago.
var errThere = errors.New("it is there")

// remove has a server no longer count, unless it is there.
func (s *Server) remove(ctx context.Context, id, addr string) error {
	if gone, err := s.gone(ctx, id); err != nil || !gone {
		return cmp.Or(err, errThere)
	}
	request, err := json.Marshal(server.JSApiMetaServerRemoveRequest{Peer: id})
	if err != nil {
		return err
	}
	err = ask(ctx, s.admin, server.JSApiRemoveServer, request)
	if server.IsNatsErr(err, server.JSClusterServerNotMemberErr) {
		return nil
	}
	if err == nil {
		s.log.Info("a peer that has gone does not count any more", "addr", addr, "id", id)
	}
	return err
}

// gone reports whether the one that leads has not heard of a peer for some seconds, or knows no
// such peer. All answer, and each lists all but itself; this server may be connected to others than
// the one that leads is.
func (s *Server) gone(ctx context.Context, id string) (bool, error) {
	sub, err := s.admin.SubscribeSync(s.admin.NewInbox())
	if err != nil {
		return false, err
	}
	defer func() { _ = sub.Unsubscribe() }() // it ends with the connection, at the latest
	if err := s.admin.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", sub.Subject, nil); err != nil {
		return false, err
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return false, err
		}
		var reply struct {
			Server server.ServerInfo `json:"server"`
			Data   server.JSInfo     `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &reply); err != nil {
			return false, err
		}
		if meta := reply.Data.Meta; meta != nil && meta.Leader == reply.Server.Name {
			return away(meta, id), nil
		}
	}
}

// away reports whether the one that leads, whose answer it is, does not hear of a peer.
func away(meta *server.MetaClusterInfo, id string) bool {
	for _, r := range meta.Replicas {
		if r.Peer == id {
			return r.Offline
		}
	}
	return meta.Peer != id
}

// ask asks JetStream, and returns the error that it answers with.
func ask(ctx context.Context, nc *nats.Conn, subject string, request []byte) error {
	m, err := nc.RequestWithContext(ctx, subject, request)
	if err != nil {
		return err
	}
	var answer server.ApiResponse
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	return answer.ToError()
}
