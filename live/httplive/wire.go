package httplive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"lockstep/htmx"
	"lockstep/live"
)

var (
	errTooMany = errors.New("httplive: too many messages")
	errNoList  = errors.New("httplive: the messages in the header are no list")
)

// padding is a comment that each answer begins with: proxies and browsers that
// hold back the first few bytes let go of what comes behind it.
func padding() string { return ": " + strings.Repeat(" ", 2048) + "\n\n" }

// encode makes a message an event. JSON has no line break.
func encode(message []byte) []byte {
	b := make([]byte, 0, len(message)+8)
	b = append(b, "data: "...)
	b = append(b, message...)
	return append(b, "\n\n"...)
}

// encodeClose returns the event that ends each answer: one without it has been
// cut off.
func encodeClose(why live.Reason) []byte {
	text, _ := json.Marshal(why.Text()) // a string
	return fmt.Appendf(nil, "event: close\ndata: {\"code\":%d,\"reason\":%s}\n\n", why.Code(), text)
}

// read returns the messages of a request: those in its header, and then one in
// each line of its body. Empty lines are none.
func read(w http.ResponseWriter, r *http.Request) (messages [][]byte, err error) {
	if messages, err = inHeader(r.Header.Values(MessagesHeader)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, fmt.Errorf("httplive: read: %w", err)
	}
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) > 0 {
			messages = append(messages, line)
		}
		if len(messages) > MaxMessages {
			return nil, errTooMany
		}
	}
	return messages, nil
}

// inHeader returns the messages in the values of a header, which are a list of
// JSON together, as HTTP has lists (RFC 9110, 5.6.1).
func inHeader(values []string) (messages [][]byte, err error) {
	list := "[" + strings.Join(values, ",") + "]"
	if len(list) > MaxBody {
		return nil, errTooMany
	}
	decoder := json.NewDecoder(strings.NewReader(list))
	_, _ = decoder.Token() // the bracket
	for decoder.More() {
		var m json.RawMessage
		if err := decoder.Decode(&m); err != nil {
			return nil, fmt.Errorf("httplive: read the header: %w", err)
		}
		if messages = append(messages, m); len(messages) > MaxMessages {
			return nil, errTooMany
		}
	}
	if _, err := decoder.Token(); err != nil || decoder.InputOffset() != int64(len(list)) {
		return nil, errNoList
	}
	return messages, nil
}

// status is what a request is answered that could not be read.
func status(err error) int {
	var long *http.MaxBytesError
	if errors.As(err, &long) || errors.Is(err, errTooMany) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// check returns why a message ends the connection as it would end a socket, or
// the zero Reason.
func check(message []byte) live.Reason {
	switch {
	case len(message) > htmx.MaxEvent:
		return live.ReasonTooLong
	case !utf8.Valid(message):
		return live.ReasonNotUTF8
	}
	return 0
}

// begin makes the head of the answer. That of a stream it writes, and what has
// proxies pass it on at once; an error is seen by what is written next.
func (c *conn) begin() {
	head := c.out.Header()
	head.Set("Content-Type", "text/event-stream")
	// A proxy that compresses holds back what comes. no-store: an answer is of one moment.
	head.Set("Cache-Control", "no-store, no-transform")
	head.Set("X-Accel-Buffering", "no") // nginx
	if c.whole {
		return
	}
	c.out.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(c.out, padding())
	_ = c.control.Flush()
}
