package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// centrifugePeer is a centrifuge node with the memory broker and the JSON
// protocol. Tabs are subscribed by the server when they connect. Its hook
// before each write counts.
type centrifugePeer struct {
	*pacer
	rooms     []string
	websocket centrifuge.WebsocketConfig
	reply     centrifuge.ConnectReply    // what every tab is answered
	history   []centrifuge.PublishOption // of each publication
	node      *centrifuge.Node
	tabs      atomic.Int64
}

// newCentrifuge returns one with the default settings, except that nobody is
// pinged, as with all subjects: the tabs would have to answer.
func newCentrifuge(rooms int) (subject, error) { return centrifugeNode(rooms) }

// newTunedCentrifuge returns one that is set up for fan-out to many tabs that
// send little, as the documentation of each setting has it.
func newTunedCentrifuge(rooms int) (subject, error) {
	p, err := centrifugeNode(rooms)
	if err != nil {
		return nil, err
	}
	p.websocket.ReadBufferSize = 512              // bytes; the default is net/http's 4096
	p.websocket.UseWriteBufferPool = true         // a tab has a write buffer only while it is written to
	p.websocket.ProcessCommandsOffReadLoop = true // a read loop keeps its small stack: "large pools of mostly-idle connections"
	p.reply.ReplyWithoutQueue = true              // the answer to a command is written at once
	p.reply.MaxMessagesInFrame = -1               // all that has queued goes out in one frame
	p.reply.QueueInitialCap = max(2, rooms)       // the queue need not grow for a burst
	if rooms > 1 {
		p.reply.WriteDelay = time.Millisecond // collects a burst; "only useful when you have lots of messages per client"
		p.reply.WriteWithTimer = true         // by a timer rather than a goroutine for each tab
	}
	return p, nil
}

func centrifugeNode(rooms int) (*centrifugePeer, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, fmt.Errorf("centrifuge: %w", err)
	}
	p := &centrifugePeer{pacer: newPacer(), node: node}
	p.websocket.PingInterval, p.websocket.PongTimeout = -1, -1
	p.reply.Credentials = &centrifuge.Credentials{}
	p.reply.Subscriptions = make(map[string]centrifuge.SubscribeOptions)
	for i := range rooms {
		room := "room" + strconv.Itoa(i)
		p.rooms = append(p.rooms, room)
		p.reply.Subscriptions[room] = centrifuge.SubscribeOptions{}
	}
	return p, nil
}

// hello implements greeter: the tabs have to connect.
func (p *centrifugePeer) hello() []string { return []string{`{"connect":{},"id":1}`} }

func (p *centrifugePeer) serve(l net.Listener, ready func()) error {
	p.node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return p.reply, nil
	})
	p.node.OnConnect(func(c *centrifuge.Client) {
		c.OnDisconnect(func(centrifuge.DisconnectEvent) { p.tabs.Add(-1) })
		p.tabs.Add(1)
		ready()
	})
	p.node.OnTransportWrite(func(_ *centrifuge.Client, e centrifuge.TransportWriteEvent) bool {
		if e.FrameType == protocol.FrameTypePushPublication {
			p.leave(1)
		}
		return true
	})
	if err := p.node.Run(); err != nil {
		return fmt.Errorf("centrifuge: run: %w", err)
	}
	return http.Serve(l, centrifuge.NewWebsocketHandler(p.node, p.websocket))
}

func (p *centrifugePeer) send(payload []byte) error {
	message, err := quoted(payload)
	if err != nil {
		return err
	}
	p.ask(int(p.tabs.Load()) * len(p.rooms))
	for _, room := range p.rooms {
		if _, err := p.node.Publish(room, message, p.history...); err != nil {
			return fmt.Errorf("centrifuge: publish: %w", err)
		}
	}
	return nil
}

// quoted returns payload as a JSON string, which is what this protocol carries,
// without the escapes that are only for HTML.
func quoted(payload []byte) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(payload)); err != nil {
		return nil, fmt.Errorf("centrifuge: encode: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
