package serve

import (
	"net/http"
	"net/url"
	"strings"
)

// maxRooms is how many topics a socket is of at most.
const maxRooms = 64

// socketPath is the address of the socket of a page that shows topics, without what
// says whose page it is. It is signed: nobody joins a topic that no page has shown.
func socketPath(sign signer, topics ...string) string {
	text := in(topics)
	return socketAt + "?" + url.Values{"in": {text}, "of": {sign.sign(forRooms, text)}}.Encode()
}

// Names of topics may have any sign in them, in a list too.
var (
	escapeTopic   = strings.NewReplacer("%", "%25", ",", "%2C")
	unescapeTopic = strings.NewReplacer("%25", "%", "%2C", ",")
)

// in is a list of topics as a socket's address has it.
func in(topics []string) string {
	all := make([]string, len(topics))
	for i, topic := range topics {
		all[i] = escapeTopic.Replace(topic)
	}
	return strings.Join(all, ",")
}

// rooms returns the topics that a socket's address is of, by its query.
func (h *socketHandler) rooms(q url.Values) (in string, topics []string, err error) {
	in = strings.Clone(q.Get("in")) // the request would live as long as the tab
	if in != "" {                   // a page may show no rooms
		topics = strings.Split(in, ",")
	}
	for i := range topics {
		topics[i] = unescapeTopic.Replace(topics[i])
	}
	if len(topics) > maxRooms || h.sign.signedBy(forRooms, in, q.Get("of")) < 0 {
		h.refused.token.Add(1)
		return "", nil, problem(http.StatusForbidden, "This page is too old", "This server does not know its address. Reload the page.")
	}
	return in, topics, nil
}

// view returns the view of a tab whose page has shown topics.
func (h *socketHandler) view(r *http.Request) (*limitedView, error) {
	in, topics, err := h.rooms(r.URL.Query())
	if err != nil {
		return nil, err
	}
	u, bound, err := h.users.of(r)
	if err != nil {
		return nil, err
	}
	who := clientOf(r)
	all := h.sign.read(r, who)
	id, ok := h.sign.owner(all, bound, forSocket, in, r.URL.Query().Get("t"))
	if !ok && (all.sent || bound != "") {
		// Only a page of one of the browser's sessions knows the token. It stands
		// behind the check of Origin, for the day when a proxy or a browser gets that
		// wrong. A client without a session has nothing that could be abused.
		h.refused.token.Add(1)
		return nil, problem(http.StatusForbidden, "This page is too old", "Its session has ended. Reload the page.")
	}
	if ok && bound == "" {
		u = visitorOf(id)
	}
	v := &limitedView{visitor: visitor{h.limiter, who}, counts: h.limiter.sockets}
	visitor := v.as(u)
	if ok {
		visitor.Granted = func(topic, grant string) bool {
			return h.sign.validToken(forGrant, id+bound+"\x00"+topic, grant)
		}
		visitor.Rooms = func(socket string) ([]string, bool) { return h.others(id+bound, socket) }
	}
	if v.View, err = h.app.View(visitor, topics...); err != nil {
		// Another version of the program has signed it, which had more kinds of topic.
		return nil, problem(http.StatusForbidden, "This page is too old", "What it shows is not here any more. Go back to the start page.")
	}
	return v, nil
}

// others returns the topics of another page that was given to a session, by the address of its
// socket; false: it is none.
func (h *socketHandler) others(session, socket string) ([]string, bool) {
	u, err := url.Parse(socket)
	if err != nil {
		return nil, false
	}
	in, topics, err := h.rooms(u.Query())
	if err != nil || !h.sign.validToken(forSocket, session+"\x00"+in, u.Query().Get("t")) {
		return nil, false
	}
	return topics, true
}
