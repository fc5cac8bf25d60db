package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/state"
)

// What there may be in a list.
const (
	MaxItems = 1000
	MaxText  = 200 // letters of an item
	// maxList is how many bytes a list may have. A thousand items of 200 letters fit, but not of
	// any script: then the list is full sooner.
	maxList = 480 << 10
)

// A Todo is one item of a list.
type Todo struct {
	Text string `json:"text"`
	Done bool   `json:"done,omitempty"`
	By   string `json:"by,omitempty"` // who has added it
}

// Todos is a list of what there is to do.
type Todos = state.List[Todo]

// Lists is the kind of the demo's lists.
func Lists() state.Kind[Todos] {
	return state.Kind[Todos]{
		Name:    "list",
		MaxData: maxList,
		Actions: map[string]state.Action[Todos]{
			"add":    state.Do(addTodo),
			"toggle": state.Do(toggleTodo),
			"rename": state.Do(renameTodo),
			"move":   state.Do(moveTodo),
			"up":     state.Do(todoUp),
			"down":   state.Do(todoDown),
			"remove": state.Do(removeTodo),
			"clear":  clearTodos,
		},
	}
}

func addTodo(l Todos, in struct{ Text string }, c state.Call) (Todos, error) {
	text, err := line(in.Text)
	switch {
	case err != nil:
		return l, err
	case l.Len() >= MaxItems:
		return l, fmt.Errorf("this list has %d items, which is as many as it can have", MaxItems)
	}
	return l.Append(c.Op, Todo{Text: text, By: c.User})
}

func toggleTodo(l Todos, in struct {
	ID string `form:"id"`
}, _ state.Call) (Todos, error) {
	todo, ok := l.Get(in.ID)
	if !ok {
		return l, state.ErrNoItem
	}
	todo.Done = !todo.Done
	return l.Set(in.ID, todo)
}

type rename struct {
	ID   string `form:"id"`
	Text string
}

func renameTodo(l Todos, in rename, _ state.Call) (Todos, error) {
	text, err := line(in.Text)
	if err != nil {
		return l, err
	}
	todo, ok := l.Get(in.ID)
	if !ok {
		return l, state.ErrNoItem
	}
	todo.Text = text
	return l.Set(in.ID, todo)
}

type move struct {
	ID     string `form:"id"`
	Behind string // "": to the front
}

func moveTodo(l Todos, in move, _ state.Call) (Todos, error) { return l.Move(in.ID, in.Behind) }

// todoUp moves an item before the one that is before it. The first stays where it is: it may have
// become that while somebody was pressing the button.
func todoUp(l Todos, in struct {
	ID string `form:"id"`
}, _ state.Call) (Todos, error) {
	behind := ""
	if i := l.Index(in.ID); i > 1 {
		behind, _ = l.At(i - 2)
	}
	return l.Move(in.ID, behind)
}

// todoDown moves an item behind the next. The last stays where it is.
func todoDown(l Todos, in struct {
	ID string `form:"id"`
}, _ state.Call) (Todos, error) {
	i := l.Index(in.ID)
	if i >= 0 && i == l.Len()-1 {
		return l, nil
	}
	behind := ""
	if i >= 0 {
		behind, _ = l.At(i + 1)
	}
	return l.Move(in.ID, behind)
}

func removeTodo(l Todos, in struct {
	ID string `form:"id"`
}, _ state.Call) (Todos, error) {
	return l.Remove(in.ID)
}

// clearTodos takes out what is done.
func clearTodos(l Todos, _ state.Fields, _ state.Call) (Todos, error) {
	rest := l
	for id, todo := range l.All() {
		if !todo.Done {
			continue
		}
		var err error
		if rest, err = rest.Remove(id); err != nil {
			return l, err
		}
	}
	return rest, nil
}

// line returns a text as one line of 1 to MaxText letters.
func line(text string) (string, error) {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	return text, lengthOf("text", text, MaxText)
}

// lengthOf returns what is wrong with the length of what a person has written, or nil.
func lengthOf(what, text string, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return errors.New("there is no text")
	case n > most:
		return fmt.Errorf("a %s has %d letters at most, and this one has %d", what, most, n)
	}
	return nil
}

// lists adds the kind.
func lists(a *lockstep.App) func(context.Context, string) (Content, string, error) {
	kind := lockstep.ListingWith(a, lockstep.ListOptions[Todo]{
		Kind: Lists(), ValidKey: ValidName, Look: lookOfList,
		Target: func(string) string { return "#items" },
		ItemID: func(i lockstep.Item[Todo]) string { return "i-" + i.ID },
		Item:   func(i lockstep.Item[Todo]) lockstep.Component { return pages.Item(itemProps(i.ID, i.Value)) },
		Head: func(s lockstep.Shown[Todos]) (string, lockstep.Component) {
			return "#head", pages.ListHead(sumOf(s.State))
		},
	})
	return func(ctx context.Context, name string) (Content, string, error) {
		s, err := kind.Show(ctx, name)
		props := listProps(s)
		return listContent{props}, props.Sum(), err
	}
}

// lookOfList is how a list looks in a tab that renders itself.
func lookOfList(s lockstep.Shown[Todos]) (string, lockstep.Component) {
	return "#live", pages.ListView(listProps(s))
}

func listProps(s lockstep.Shown[Todos]) pages.List {
	l := pages.List{
		Name: s.Key, Topic: s.Topic, Epoch: s.Epoch, Version: s.Version, Known: s.Known,
		Items: make([]pages.ListItem, 0, s.State.Len()), Waiting: s.Waiting,
	}
	for id, todo := range s.State.All() {
		l.Items = append(l.Items, itemProps(id, todo))
	}
	return l
}

func itemProps(id string, todo Todo) pages.ListItem {
	return pages.ListItem{ID: id, Text: todo.Text, Done: todo.Done}
}

// A listContent is what the page of one is about.
type listContent struct{ list pages.List }

// Document implements Content.
func (c listContent) Document(p pages.Page) live.Component {
	return pages.ListPage(p, c.list)
}

// Body implements Content.
func (c listContent) Body(p pages.Page) live.Component { return pages.ListBody(p, c.list) }

// ask implements asker: the form in an item leads here without JavaScript. It has no identity that
// would make it count once, so the page shows one that has.
func (c listContent) ask(_ context.Context, asked state.Fields) (Content, error) {
	for _, item := range c.list.Items {
		if item.ID != asked.Get("id") {
			continue
		}
		if text, err := line(asked.Get("text")); err == nil {
			item.Text = text
		}
		c.list.Edit = item
	}
	return c, nil
}

// sumOf is how much of a list is done.
func sumOf(l Todos) pages.ListSum {
	sum := pages.ListSum{Known: true, Items: l.Len()}
	for _, todo := range l.All() {
		if todo.Done {
			sum.Done++
		}
	}
	return sum
}
