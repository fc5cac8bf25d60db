package app

import (
	"strings"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/soft"
)

// softKind is what the topics of boards begin with: what people see of each other there is
// no state of any kind.
const softKind = "soft"

// Board is the topic of the board that other pages lead to.
const Board = softKind + ":lobby"

// A Spot is what somebody does at a board, as everybody there sees it.
type Spot struct {
	// X and Y are where their cursor is, in thousandths of the board from 1 on. 0: it is not
	// on the board.
	X int `json:"x,omitempty"`
	Y int `json:"y,omitempty"`
	// Types says that they are about to write something.
	Types bool `json:"types,omitempty"`
}

// valid reports whether there is anything to see, and where.
func (s Spot) valid() bool {
	on := func(n int) bool { return n >= 1 && n <= 1000 }
	return on(s.X) && on(s.Y) || s.X == 0 && s.Y == 0 && s.Types
}

// softFrame is about how many bytes a frame of a board has at most: some 250 cursors.
const softFrame = 8 << 10

// boards adds what boards share: what a tab casts of its cursor, which a script shows.
func boards(a *lockstep.App) *lockstep.Soft[Spot] {
	s := lockstep.PresentWith(a, lockstep.SoftOptions[Spot]{Name: softKind, Valid: Spot.valid, MaxFrame: softFrame, ValidKey: ValidName})
	lockstep.OnValue(s, "here")
	return s
}

// Boards is what this replica has shared of what is cast at boards.
func (a *App) Boards() soft.Stats { return a.boards.Stats() }

// A boardContent is what the page of a board is about.
type boardContent struct{ board pages.Board }

// Document implements Content.
func (c boardContent) Document(p pages.Page) live.Component {
	return pages.BoardPage(p, c.board)
}

// Body implements Content.
func (c boardContent) Body(p pages.Page) live.Component { return pages.BoardBody(p, c.board) }

// boardPage returns what the page of a board shows.
func (a *App) boardPage(topic string) (pages.Page, Content) {
	name := strings.TrimPrefix(topic, softKind+":")
	p := a.page(topic, Called(softKind), name, "")
	return p, boardContent{pages.Board{Name: name, Topic: topic}}
}
