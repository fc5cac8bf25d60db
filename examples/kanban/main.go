// Command kanban is a board of cards in columns, which several people move.
package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
)

type Card struct{ ID, Text string }

// A Board has the cards of each column, from the top.
type Board [3][]Card

type move struct {
	ID string `form:"id"`
	By int    // columns to the right
	Up int    // rows
}

// A drop is what has become of a card that was dragged.
type drop struct {
	ID     string `form:"id"`
	To     int    // the column
	Before string // a card of it; "": it is the last
}

// take returns a board without a card, the card, and where it was.
func (b Board) take(id string) (_ Board, c Card, column, row int, err error) {
	for column, cards := range b {
		if row := slices.IndexFunc(cards, func(c Card) bool { return c.ID == id }); row >= 0 {
			b[column] = slices.Delete(slices.Clone(cards), row, row+1)
			return b, cards[row], column, row, nil
		}
	}
	return b, c, 0, 0, lockstep.Refused("somebody else has removed the card")
}

// put returns a board with a card, as near to a place as that can be.
func (b Board) put(c Card, column, row int) Board {
	column = min(max(column, 0), len(b)-1)
	row = min(max(row, 0), len(b[column]))
	b[column] = slices.Insert(slices.Clone(b[column]), row, c)
	return b
}

// drop puts a card before another one, wherever that is now.
func (b Board) drop(in drop, _ lockstep.Call) (Board, error) {
	b, card, _, _, err := b.take(in.ID)
	to := min(max(in.To, 0), len(b)-1)
	row := slices.IndexFunc(b[to], func(c Card) bool { return c.ID == in.Before })
	if row < 0 {
		row = len(b[to])
	}
	return b.put(card, to, row), err
}

func main() { run.Main("localhost:8104", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	var board *lockstep.Shared[Board]
	board = lockstep.Share(app, "board", func(b Board) templ.Component { return columns(board.At("team"), b) })
	lockstep.On(board, "add", func(b Board, in struct{ Text string }, c lockstep.Call) (Board, error) {
		if strings.TrimSpace(in.Text) == "" {
			return b, lockstep.Refused("a card needs a text")
		}
		return b.put(Card{c.Op, in.Text}, 0, len(b[0])), nil
	})
	lockstep.On(board, "move", func(b Board, in move, _ lockstep.Call) (Board, error) {
		b, card, column, row, err := b.take(in.ID)
		return b.put(card, column+in.By, row-in.Up), err
	})
	lockstep.On(board, "drop", Board.drop)
	lockstep.On(board, "remove", func(b Board, in move, _ lockstep.Call) (Board, error) {
		b, _, _, _, err := b.take(in.ID)
		return b, err
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(board.At("team")) }))
	return s, mux
}
