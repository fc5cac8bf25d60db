package lockstep

import (
	"context"
	"encoding/json"

	"lockstep/htmx"
	"lockstep/live"
)

// A Command has a page do something, in one tab or in all of a person: see Call.Tell, Tell and Tab.
// The zero Command does nothing.
type Command struct{ c htmx.Command }

// Flash says something to the person for a moment.
func Flash(text string) Command { return Command{htmx.Command{"flash", text}} }

// Navigate leads to another page of the server: "/orders/7". Addresses of others lead nowhere.
func Navigate(to string) Command { return Command{htmx.Command{"navigate", to}} }

// Title is the title of the page from now on.
func Title(text string) Command { return Command{htmx.Command{"title", text}} }

// Focus sets the focus to the element of an id.
func Focus(id string) Command { return Command{htmx.Command{"focus", id}} }

// Event dispatches an event for a script of the application, a CustomEvent on the document. detail
// must have a form as JSON.
func Event(name string, detail any) Command { return Command{htmx.Command{"event", name, detail}} }

// Reset empties the fields of the form of an id, and of all that are of an action, "say" for
// example.
func Reset(form string) Command { return Command{htmx.Command{"reset", form}} }

// commandsOf returns the commands of what an action has told.
func commandsOf(told []any) (all []htmx.Command) {
	for _, one := range told {
		if c, ok := one.(Command); ok && len(c.c) > 0 {
			all = append(all, c.c)
		}
	}
	return all
}

func wireOf(commands []Command) (all []htmx.Command) {
	for _, c := range commands {
		if len(c.c) > 0 {
			all = append(all, c.c)
		}
	}
	return all
}

// tellTopic is where replicas tell each other of Tell.
const tellTopic = "tell"

// A tellMessage is what they say.
type tellMessage struct {
	User string            `json:"u"`
	Tell []json.RawMessage `json:"c"`
	By   string            `json:"r"`
}

// Tell has all tabs of a user do things, on all replicas: at most once each, and those that are not
// connected not at all.
func (a *App) Tell(ctx context.Context, user string, commands ...Command) error {
	if a.hub == nil {
		return ErrNotStarted
	}
	m := tellMessage{User: user, By: a.id}
	for _, c := range wireOf(commands) {
		raw, err := json.Marshal([]any(c))
		if err != nil {
			return err
		}
		m.Tell = append(m.Tell, raw)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for _, v := range a.viewsOf(user) {
		v.session.Tell(wireOf(commands)...)
	}
	return a.hub.Broadcast(ctx, tellTopic, payload)
}

// heardTell takes in what another replica says.
func (a *App) heardTell(payload []byte) {
	var m tellMessage
	if json.Unmarshal(payload, &m) != nil || m.By == a.id || m.User == "" {
		return
	}
	commands := make([]htmx.Command, len(m.Tell))
	for i, raw := range m.Tell {
		if json.Unmarshal(raw, &commands[i]) != nil {
			return
		}
	}
	for _, v := range a.viewsOf(m.User) {
		v.session.Tell(commands...)
	}
}

// A Tab is one that is connected to this replica. Its methods may be called concurrently; after its
// end they do nothing.
type Tab struct{ v *view }

// TabsOf returns the tabs of a user that are connected to this replica; "": of all.
func (a *App) TabsOf(user string) (all []Tab) {
	for _, v := range a.viewsOf(user) {
		all = append(all, Tab{v})
	}
	return all
}

// User is whose it is.
func (t Tab) User() User { return t.v.visitor.user() }

// Topics are those that it shows.
func (t Tab) Topics() []string { return t.v.shows() }

// Tell has it do things.
func (t Tab) Tell(commands ...Command) { t.v.session.Tell(wireOf(commands)...) }

// Show shows something to it alone: the content of the element that target, a CSS selector,
// selects. target must be a constant of the program. The error is that of the component.
func (t Tab) Show(target string, c Component) error {
	return t.v.session.Show(live.Part{Target: target, Component: c})
}
