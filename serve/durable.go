package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"lockstep"
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
func (h *entriesHandler) durable(w http.ResponseWriter, r *http.Request, topic string) error {
	offset, live := r.URL.Query().Get("offset"), r.URL.Query().Get("live")
	head := w.Header()
	if r.Method == http.MethodHead {
		offset, live = "now", ""
	}
	if !r.URL.Query().Has("offset") && live != "" || r.URL.Query().Has("offset") && offset == "" {
		return h.fail(w, http.StatusBadRequest, "an offset is missing")
	}
	after, err := h.place(r, topic, offset)
	if err != nil {
		return h.failed(w, r, err)
	}
	beginning := offset == "" || offset == "-1"
	switch live {
	case "sse":
		return h.stream(w, r, topic, after, !beginning, writeDurable)
	case "long-poll":
		head.Set(cursor, "0") // nothing is cached
	case "":
	default:
		return h.fail(w, http.StatusBadRequest, "live is long-poll or sse")
	}
	p := lockstep.Part{Epoch: after.Epoch, First: after.N + 1, End: true}
	if offset != "now" || live != "" {
		wait := durableWait
		if live == "" {
			wait = 0
		}
		if p, err = h.app.Entries(r.Context(), topic, after, lockstep.MaxPart, wait); err == nil && p.Gap && !beginning {
			err = errGone
		}
		if err != nil {
			return h.failed(w, r, err)
		}
	}
	head.Set(nextOffset, tokenOf(p.Next()))
	if p.End {
		head.Set(upToDate, "true")
	}
	if live != "" && len(p.Raw) == 0 {
		return noContent(w, http.StatusNoContent)
	}
	return sendJSON(w, http.StatusOK, numbered(p))
}

// writeDurable writes a part as events of the protocol.
func writeDurable(b *bytes.Buffer, p lockstep.Part) {
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
