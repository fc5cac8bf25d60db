package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"lockstep/app"
)

// The reading half of the Durable Streams protocol, in its JSON mode
// (docs/adr/0044-readers.md): a log is a stream of JSON messages, which begins with the
// oldest entry that there is.

// Headers of the protocol.
const (
	nextOffset = "Stream-Next-Offset"
	upToDate   = "Stream-Up-To-Date"
	cursor     = "Stream-Cursor"
)

var errGone = &entriesError{http.StatusGone, "entries behind this offset are gone"}

// durable answers a request of the protocol.
func (h *entriesHandler) durable(c echo.Context, topic string) error {
	offset, live := c.QueryParam("offset"), c.QueryParam("live")
	head := c.Response().Header()
	if c.Request().Method == http.MethodHead {
		offset, live = "now", ""
	}
	if !c.QueryParams().Has("offset") && live != "" || c.QueryParams().Has("offset") && offset == "" {
		return h.fail(c, http.StatusBadRequest, "an offset is missing")
	}
	after, err := h.place(c, topic, offset)
	if err != nil {
		return h.failed(c, err)
	}
	beginning := offset == "" || offset == "-1"
	switch live {
	case "sse":
		return h.stream(c, topic, after, !beginning, writeDurable)
	case "long-poll":
		head.Set(cursor, "0") // nothing is cached
	case "":
	default:
		return h.fail(c, http.StatusBadRequest, "live is long-poll or sse")
	}
	p := app.Part{Epoch: after.Epoch, First: after.N + 1, End: true}
	if offset != "now" || live != "" {
		wait := durableWait
		if live == "" {
			wait = 0
		}
		if p, err = h.app.Entries(c.Request().Context(), topic, after, app.MaxPart, wait); err == nil && p.Gap && !beginning {
			err = errGone
		}
		if err != nil {
			return h.failed(c, err)
		}
	}
	head.Set(nextOffset, tokenOf(p.Next()))
	if p.End {
		head.Set(upToDate, "true")
	}
	if live != "" && len(p.Raw) == 0 {
		return c.NoContent(http.StatusNoContent)
	}
	return c.JSON(http.StatusOK, numbered(p))
}

// writeDurable writes a part as events of the protocol.
func writeDurable(b *bytes.Buffer, p app.Part) {
	if len(p.Raw) > 0 {
		data, _ := json.Marshal(numbered(p)) // it is JSON
		fmt.Fprintf(b, "event: data\ndata: %s\n\n", data)
	}
	state := struct {
		Next     string `json:"streamNextOffset"`
		Cursor   string `json:"streamCursor"`
		UpToDate bool   `json:"upToDate,omitempty"`
	}{tokenOf(p.Next()), "0", p.End}
	data, _ := json.Marshal(state) // strings can be
	fmt.Fprintf(b, "event: control\ndata: %s\n\n", data)
}
