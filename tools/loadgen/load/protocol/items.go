package protocol

import (
	"fmt"
	"math/rand/v2"

	"lockstep/internal/history"
	"lockstep/internal/items"
)

// What pages of items show, and what messages say of that.
type (
	// Items are what a tab shows of a list or a log: of the latter the newest. They must not be
	// changed.
	Items = items.Items
	// A Change says how items of an older version become those of a newer one.
	Change = items.Change
	// An Item is one thing in a list, or an entry of a log.
	Item = items.Item
)

// An Itemized is a Protocol whose pages show items, so that what a person does next depends on what
// they see.
type Itemized interface {
	Protocol
	// Pick is what Choose is for other pages: what a person does next, who is shown items.
	Pick(shown *Items, chance *rand.Rand) (do string, in map[string]string)
}

// Items is what items are called by themselves.
func (k Kind) Items() items.Kind { return items.Kind(k == Log) }

// StateOf is what people see of items, at a moment: how many there are or ever were, and in Value a
// sum of them all, or of the newest entries of a log.
func StateOf(m *Items, epoch, version uint64) State {
	return State{Epoch: epoch, Version: version, Count: m.Count(), Value: m.Sum()}
}

// Name is what an op is called among all of its topic: the id of what it adds.
func (id ID) Name() string { return history.ID(id).Name() }

// Pick implements Itemized. A list grows to some fifty items, and then stays about as long.
func (l Lockstep) Pick(shown *Items, chance *rand.Rand) (do string, in map[string]string) {
	text := fmt.Sprintf("thing %d", chance.IntN(1_000_000))
	if l.Kind == Log {
		return "say", map[string]string{"text": text}
	}
	n := len(shown.All)
	if add := map[bool]int{true: 60, false: 20}[n < 50]; n < 3 || n < 500 && chance.IntN(100) < add {
		return "add", map[string]string{"text": text}
	}
	id, behind := shown.All[chance.IntN(n)].ID, shown.All[chance.IntN(n)].ID
	if behind == id {
		behind = ""
	}
	switch chance.IntN(20) {
	case 0, 1, 2, 3, 4:
		return "remove", map[string]string{"id": id}
	case 5, 6, 7, 8:
		return "toggle", map[string]string{"id": id}
	case 9, 10, 11, 12:
		return "rename", map[string]string{"id": id, "text": text}
	case 13, 14:
		return "up", map[string]string{"id": id}
	case 15, 16:
		return "down", map[string]string{"id": id}
	case 17:
		return "clear", nil
	}
	return "move", map[string]string{"id": id, "behind": behind}
}
