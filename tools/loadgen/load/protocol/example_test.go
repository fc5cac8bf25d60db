package protocol_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"lockstep/tools/loadgen/load/protocol"
)

// A chat room whose page has its socket in a script, and whose server sends {"likes": 42} and
// acknowledges what it is sent.
type room struct{ socket *regexp.Regexp }

func (room) Traits() protocol.Traits { return protocol.Traits{Acks: true} }

func (room) Page(n int) string { return fmt.Sprintf("/room/%d", n) }

func (r room) Open(u *url.URL, _ http.Header, body []byte) (protocol.View, error) {
	m := r.socket.FindSubmatch(body)
	if m == nil {
		return protocol.View{}, protocol.ErrNoSocket
	}
	likes, err := strconv.ParseInt(string(m[1]), 10, 64)
	return protocol.View{
		Socket: "ws://" + u.Host + string(m[2]), Live: true,
		State: protocol.State{Version: uint64(likes), Count: likes}, Known: true,
	}, err
}

func (room) Hello(*protocol.View, string, protocol.State) []byte { return nil }

func (room) Choose(*protocol.View, *rand.Rand) (do string, in map[string]string) { return "like", nil }

func (room) Click(_ *protocol.View, op *protocol.Op) protocol.Send {
	return protocol.Send{Message: fmt.Appendf(nil, `{"like":%d,"by":%q}`, op.Seq, op.Client)}
}

func (room) Fin(*protocol.View, string, uint64) []byte { return nil }

func (room) Read(_ *protocol.View, message []byte) (m protocol.Message, err error) {
	var w struct {
		Likes *int64
		OK    uint64
		By    string
	}
	if err := json.Unmarshal(message, &w); err != nil {
		return m, err
	}
	if w.OK != 0 {
		m.Acks = []protocol.ID{{Client: w.By, Seq: w.OK}}
	}
	if w.Likes != nil {
		m.HasState, m.State = true, protocol.State{Version: uint64(*w.Likes), Count: *w.Likes}
	}
	return m, nil
}

// A server of another kind needs no more than this, given as load.Options.Protocol.
func ExampleProtocol() {
	r := room{socket: regexp.MustCompile(`likes = (\d+); new WebSocket\("([^"]+)"\)`)}
	page := []byte(`<script>likes = 41; new WebSocket("/ws/7")</script>`)
	v, err := r.Open(&url.URL{Scheme: "http", Host: "localhost"}, nil, page)
	fmt.Println(v.Socket, v.State.Count, err)
	m, err := r.Read(&v, []byte(`{"likes":42}`))
	fmt.Println(m.State.Count, err)
	// Output:
	// ws://localhost/ws/7 41 <nil>
	// 42 <nil>
}
