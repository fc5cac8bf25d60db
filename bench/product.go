package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/wslive"
)

// product is Lockstep's own path: Echo route, websocket, session, room, writer.
type product struct {
	rt    *live.Runtime
	names []string // of the rooms that each tab is in
	rooms *live.Rooms[[]byte]
	view  live.View // of each tab
	ready func()
	goal  int64 // of sent
}

// newProduct sends every change: what is measured is the delivery.
func newProduct(rooms int) (subject, error) { return newProductWith(rooms, time.Nanosecond) }

// newConflating shows changes as often as the default has it.
func newConflating(rooms int) (subject, error) { return newProductWith(rooms, 0) }

func newProductWith(rooms int, interval time.Duration) (subject, error) {
	p := &product{rt: live.NewRuntime(&live.Options{FrameInterval: interval, StatusInterval: time.Hour})}
	p.rt.Start()
	p.rooms = live.NewRooms(p.rt, nil, live.RoomsOptions[[]byte]{
		Topic:  func(key string) string { return key },
		Render: func(key string, b []byte) (string, live.Component) { return "#" + key, html(b) },
	})
	p.view = p
	for i := range rooms {
		p.names = append(p.names, "room"+strconv.Itoa(i))
	}
	return p, nil
}

// html renders itself.
type html []byte

func (h html) Render(_ context.Context, w io.Writer) error { _, err := w.Write(h); return err }

func (p *product) serve(l net.Listener, ready func()) error {
	p.ready = ready
	h := wslive.NewHandler(p.rt, func(*http.Request) live.View { return p.view }, &wslive.Options{PingInterval: -1}) // the tabs of a bench answer no pings
	defer h.Close()
	e := echo.New()
	e.GET(socketPath, func(c echo.Context) error { h.ServeHTTP(c.Response(), c.Request()); return nil })
	return http.Serve(l, e)
}

// Mount implements live.View.
func (p *product) Mount(ctx context.Context, s *live.Session) error {
	defer p.ready()
	for _, name := range p.names {
		if err := p.rooms.Join(ctx, s, name); err != nil {
			return err
		}
	}
	return nil
}

// HandleEvent implements live.View.
func (p *product) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

func (p *product) send(payload []byte) error {
	p.goal = p.sent() + int64(p.rt.Stats().Sessions*len(p.names))
	for _, name := range p.names {
		p.rooms.Commit(name, payload)
	}
	return nil
}

func (p *product) sent() int64 { return int64(p.rt.Stats().Messages) }

// wait lets the writer work: with one processor it comes back when a pass has
// ended, so that the next begins at once, as with the others.
func (p *product) wait() error {
	for p.sent() < p.goal {
		runtime.Gosched()
	}
	return nil
}
