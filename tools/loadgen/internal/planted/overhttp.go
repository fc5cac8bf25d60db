package planted

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// answered ends an exchange.
const answered = "answered"

// A request is a connection over plain HTTP: the answer to one request.
type request struct {
	w   http.ResponseWriter
	cut bool // it has no end
}

func (c request) message(m string) error {
	if _, err := fmt.Fprintf(c.w, "data: %s\n\n", m); err != nil {
		return err
	}
	return http.NewResponseController(c.w).Flush()
}

func (c request) end(why string) {
	code := 1012
	if why == answered {
		code = 1000
	}
	if why != "" && !c.cut {
		_, _ = fmt.Fprintf(c.w, "event: close\ndata: {\"code\":%d,\"reason\":%q}\n\n", code, why) // the tab may be gone
	}
}

// request serves a tab that has no websocket: a stream, or an exchange.
func (s *Server) request(topic *topic, w http.ResponseWriter, r *http.Request) {
	stream := r.URL.Query().Get("stream") == "1"
	messages, err := messagesOf(r)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case r.CookiesNamed("session") == nil || r.Header.Get("Origin") != s.URL:
		http.Error(w, "no cookie, or another page", http.StatusForbidden)
		return
	case stream && s.bugs.NoStreams:
		http.Error(w, "no streams", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if stream && s.bugs.HoldStreams {
		<-r.Context().Done()
		return
	}
	t := s.admit(topic, r)
	if t == nil {
		http.Error(w, "no more tabs", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(t)
	if stream {
		defer context.AfterFunc(r.Context(), func() { t.end("") })()
	}
	for _, m := range messages {
		s.receive(t, m)
	}
	if !stream {
		t.end(answered)
	}
	t.write(request{w, !stream && each(s.bugs.CutAnswers, t.number)})
}

// messagesOf returns the messages of a request: of its header and of its body.
func messagesOf(r *http.Request) (messages [][]byte, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte("["+strings.Join(r.Header.Values("Lockstep-Messages"), ",")+"]"), &list); err != nil {
		return nil, err
	}
	for _, m := range list {
		messages = append(messages, m)
	}
	body, err := io.ReadAll(r.Body)
	for line := range strings.Lines(string(body)) {
		messages = append(messages, []byte(line))
	}
	return messages, err
}
