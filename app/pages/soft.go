package pages

// A Board is where people see each other's cursors, and who types.
type Board struct{ Name, Topic string }

// firstNames and lastNames make a name for everybody who is at a board: soft.js chooses. The
// number of each is a power of two.
const (
	firstNames = "Amber Bold Calm Clever Early Fair Gentle Happy Keen Kind Lucky Merry Quick Quiet Sunny Warm"
	lastNames  = "Badger Crane Deer Falcon Finch Fox Hare Heron Lark Lynx Mole Otter Owl Robin Swan Wren"
)
