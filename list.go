package lockstep

import (
	"context"

	"github.com/a-h/templ"

	"lockstep/live"
	"lockstep/state"
)

// A List is a kind of state that is items in an order: tabs are sent what has changed of them.
type List[T any] struct {
	app    *App
	family *family
	kind   *itemized[state.List[T]]
}

// An Item is one of a list, as it is shown.
type Item[T any] struct {
	Room  Room   // that it is in
	ID    string // in the list
	Value T
}

// HTMLID is the id that the item's element must have: nothing else in the page has it.
func (i Item[T]) HTMLID() string { return i.Room.items + i.ID }

// ListOptions say what lists of a kind are, and how they look.
type ListOptions[T any] struct {
	Kind state.Kind[state.List[T]]
	// Item is how an item looks: one element, which has the id that ItemID says. It is a pure
	// function, and the same for everybody.
	Item func(i Item[T]) Component
	// ItemID is the id of an item's element. Nil: Item.HTMLID.
	ItemID func(i Item[T]) string
	// Target is the CSS selector of the element whose children the items are. Nil: that of the room.
	Target func(topic string) string
	// Head is what each change of a list may change beside its items: the CSS selector of an element,
	// and its content. Nil: nothing.
	Head func(s Shown[state.List[T]]) (target string, c Component)
	// Look is how a list looks as a whole, in a tab that renders itself. Nil: its items do.
	Look func(s Shown[state.List[T]]) (target string, c Component)
	// ValidKey reports whether there may be a topic of a key. Nil: ValidKey.
	ValidKey func(key string) bool
}

// Listing adds a kind of lists. item is what is in an item's element, an li: a pure function, and
// the same for everybody. OnList adds what can be done to them.
func Listing[T any](a *App, name string, item func(i Item[T]) templ.Component) *List[T] {
	a.needs(item != nil, name, "items")
	return ListingWith(a, ListOptions[T]{Kind: state.Kind[state.List[T]]{Name: name}, Item: func(i Item[T]) Component {
		return elementOf("li", templ.Attributes{"id": i.HTMLID()}, item(i))
	}})
}

// ListingWith is Listing with options.
func ListingWith[T any](a *App, o ListOptions[T]) *List[T] {
	a.needs(o.Item != nil, o.Kind.Name, "items")
	if o.ItemID == nil {
		o.ItemID = Item[T].HTMLID
	}
	if o.Target == nil {
		o.Target = func(topic string) string { return "#" + roomID(topic) }
	}
	if o.Look == nil {
		o.Look = func(s Shown[state.List[T]]) (string, Component) { return o.Target(s.Topic), o.all(a, s) }
	}
	kind := &itemized[state.List[T]]{
		shared: &shared[state.List[T]]{kind: o.Kind, look: liveLook(o.Look)},
		items:  func(s Shown[state.List[T]]) (live.Items, bool) { return o.items(a, s) },
	}
	f := &family{kind: kind, valid: o.ValidKey}
	a.addFamily(f)
	return &List[T]{a, f, kind}
}

// itemOf is the i-th item of a list.
func itemOf[T any](r Room, l state.List[T], i int) Item[T] {
	id, v := l.At(i)
	return Item[T]{Room: r, ID: id, Value: v}
}

// items is a list as items; see live.RoomsOptions.
func (o *ListOptions[T]) items(a *App, s Shown[state.List[T]]) (live.Items, bool) {
	if !s.Known {
		return live.Items{}, false
	}
	r := a.room(s.Topic)
	it := live.Items{Target: o.Target(s.Topic), Len: s.State.Len(), Item: func(i int) live.Item {
		item := itemOf(r, s.State, i)
		return live.Item{ID: o.ItemID(item), Rev: s.State.Stamp(i), Render: func() live.Component { return o.Item(item) }}
	}}
	if o.Head != nil {
		it.HeadTarget, it.Head = o.Head(s)
	}
	return it, true
}

// all is a list as a frame that has all of it.
func (o *ListOptions[T]) all(a *App, s Shown[state.List[T]]) Component {
	r := a.room(s.Topic)
	return allItems(o.Target(s.Topic), s.State.Len(), func(i int) Component { return o.Item(itemOf(r, s.State, i)) })
}

// OnList adds an action; see On.
func OnList[T, In any](l *List[T], action string, f func(s state.List[T], in In, c Call) (state.List[T], error)) {
	addAction(l.app, &l.kind.kind, action, f != nil, func() state.Action[state.List[T]] { return state.Do(f) })
}

// At returns the room of a key.
func (l *List[T]) At(key string) Room { return l.app.room(l.Topic(key)) }

// Topic returns the topic of a key.
func (l *List[T]) Topic(key string) string { return l.kind.kind.Topic(key) }

// Show returns a list as it is shown; see Shared.Show.
func (l *List[T]) Show(ctx context.Context, key string) (Shown[state.List[T]], error) {
	got, err := l.family.newest(ctx, key)
	return l.kind.typed(key, got), err
}

// Read returns the list of a key as the store has it, or a newer one.
func (l *List[T]) Read(ctx context.Context, key string) (state.List[T], error) {
	s, err := l.Show(ctx, key)
	return s.State, err
}
