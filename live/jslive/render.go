//go:build js

package jslive

import (
	"bytes"
	"context"
	"fmt"
	"syscall/js"

	"lockstep/htmx"
	"lockstep/live"
)

// A Render is what a tab that renders itself shows of a topic: the CSS selector of
// the element whose content is replaced, and the content. state is what
// live.RoomsOptions.Data has made on a server; waiting are the tab's own ops that
// wait for an answer, in their order: the person is shown their effect at once.
// user is whose the tab is, as the page says it.
type Render func(topic string, state []byte, waiting []htmx.Event, user string) (target string, c live.Component, err error)

// ServeRender renders for a page with static/replica.js, in the worker that the
// page has started, for ever. The page posts {topic, state, waiting, user}: two
// strings, the messages of the ops, and a string; it is posted {ready: true} first,
// and {target, html} or {failure} for each.
func ServeRender(render Render) {
	listener := js.FuncOf(func(_ js.Value, args []js.Value) any {
		answer, err := rendered(render, args[0].Get("data"))
		if err != nil {
			answer = map[string]any{"failure": err.Error()}
		}
		js.Global().Call("postMessage", answer)
		return nil
	})
	js.Global().Set("onmessage", listener)
	js.Global().Call("postMessage", map[string]any{"ready": true})
	select {} // the page ends the worker
}

// rendered is the answer to one message of the page. A panic is an error of this
// one alone.
func rendered(render Render, data js.Value) (answer map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("jslive: panic: %v", p)
		}
	}()
	var waiting []htmx.Event
	for i := range data.Get("waiting").Length() {
		e, err := htmx.ParseEvent([]byte(data.Get("waiting").Index(i).String()))
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, e)
	}
	target, c, err := render(data.Get("topic").String(), []byte(data.Get("state").String()), waiting, userOf(data))
	if err != nil {
		return nil, err
	}
	var html bytes.Buffer
	if err := c.Render(context.Background(), &html); err != nil {
		return nil, err
	}
	return map[string]any{"target": target, "html": html.String()}, nil
}

// userOf is whose the tab is: a page that does not say is nobody's.
func userOf(data js.Value) string {
	if user := data.Get("user"); user.Type() == js.TypeString {
		return user.String()
	}
	return ""
}
