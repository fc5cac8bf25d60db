//go:build js

// Command wasm is the demo inside a browser: it keeps states in IndexedDB and
// hears the other tabs over a BroadcastChannel. How it is run is in package
// jsmain; what it shows is in package app.
package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/live/jsmain"
	"lockstep/pubsub"
	"lockstep/pubsub/jspubsub"
	"lockstep/state/idbstate"
)

// place names the database and the channel, so that they are apart from those
// of other programs of the same origin.
const place = "lockstep"

// user is who acts: all tabs of a browser are one person's.
const user = "browser"

func main() { jsmain.Run(os.Args[1:], jsmain.Program{Start: start, Render: app.NewRender()}) }

// start starts the application.
func start(ctx context.Context) (jsmain.App, error) {
	store := idbstate.New(place, &idbstate.Options{Counter: app.FormerCounter})
	opened := make(chan error, 1)
	go func() { // while the application starts: the browser takes a while for its first transaction
		_, err := store.Read(ctx, app.Lobby)
		opened <- err
	}()
	a := app.New(jspubsub.New(place), store, &app.Options{Replica: jsmain.TabName(), Hub: pubsub.Options{ProbeInterval: -1}})
	if err := a.Start(ctx); err != nil {
		return jsmain.App{}, jsmain.Failure{Said: "The tabs of this browser can not hear each other here: it has no BroadcastChannel, or forbids it.", Err: err}
	}
	if err := <-opened; err != nil {
		return jsmain.App{}, jsmain.Failure{Said: "Nothing can be kept here: this browser has no IndexedDB, or does not let this page use it.", Err: err}
	}
	d := demo{a}
	return jsmain.App{Runtime: a.Runtime(), View: d.view, Page: d.page, Stop: func(ctx context.Context) error {
		return errors.Join(a.Stop(ctx, 0), store.Close())
	}}, nil
}

// A demo is the application as a page of this browser has it.
type demo struct{ app *app.App }

// view lets the page do everything.
func (d demo) view(topics ...string) live.View {
	v, err := d.app.View(app.Visitor{User: user, Granted: func(string, string) bool { return true }}, topics...)
	if err != nil {
		return nil // no page has such topics
	}
	return v
}

func (d demo) page(ctx context.Context, at jsmain.Address) (jsmain.Page, error) {
	topic := topicOf(at.Query)
	if !app.HasState(topic) {
		return jsmain.Page{}, jsmain.Failure{Said: "Boards are for people who are at several browsers: a server has them.", Err: app.ErrNoTopic}
	}
	p, content, err := d.app.Page(ctx, topic, asked(at.Query))
	if err != nil {
		return jsmain.Page{}, jsmain.Failure{Said: "There is nothing of that name: a name is 1 to 64 letters, digits and dashes.", Err: err}
	}
	p.Socket, p.User, p.Grants = "socket/"+topic, user, "{}"
	p.Links = pages.Links{Home: "./", Open: "./", OpenKind: p.Kind, Do: "./"}
	p.Links.Newest = "./?topic=" + topic
	p.Links.Before = p.Links.Newest + "&before="
	p.Links.Elsewhere = d.app.Elsewhere(p.Kind, func(topic string) string { return "./?topic=" + topic })
	if at.Server != "" {
		back := pages.Link{To: at.Server + strings.TrimPrefix(app.Path(topic), "/"), Text: "Back to the server"}
		p.Links.Elsewhere = append(p.Links.Elsewhere, back)
	}
	return jsmain.Page{
		Title: p.Title(), Body: content.Body(p), Scripts: app.Scripts(p.Kind), Styles: app.Styles(p.Kind),
	}, nil
}

// asked is what the query asks of the page.
func asked(query map[string]string) map[string][]string {
	fields := make(map[string][]string, len(query))
	for name, value := range query {
		fields[name] = []string{value}
	}
	return fields
}

// topicOf returns the topic of a page: its own word, or what its little form has
// opened.
func topicOf(query map[string]string) string {
	word := func(key string) string { return strings.ToLower(strings.TrimSpace(query[key])) }
	return cmp.Or(word("topic"), cmp.Or(word("kind"), "counter")+":"+cmp.Or(word("name"), "lobby"))
}
