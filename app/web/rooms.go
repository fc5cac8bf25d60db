package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// maxRooms is how many topics a socket is of at most.
const maxRooms = 64

// socketPath is the address of the socket of a page that shows topics, without what
// says whose page it is. It is signed: nobody joins a topic that no page has shown.
func socketPath(sign signer, topics ...string) string {
	in := strings.Join(topics, ",")
	return "/ws/rooms?" + url.Values{"in": {in}, "of": {sign.sign(forRooms, in)}}.Encode()
}

// rooms returns the topics that a socket's address is of.
func (h *socketHandler) rooms(c echo.Context) (in string, topics []string, err error) {
	in = strings.Clone(c.QueryParam("in")) // the request would live as long as the tab
	topics = strings.Split(in, ",")
	if len(topics) > maxRooms || h.sign.signedBy(forRooms, in, c.QueryParam("of")) < 0 {
		h.refused.token.Add(1)
		return "", nil, problem(http.StatusForbidden, "This page is too old", "This server does not know its address. Reload the page.")
	}
	return in, topics, nil
}

// view returns the view of a tab whose page has shown topics.
func (h *socketHandler) view(c echo.Context) (*limitedView, error) {
	in, topics, err := h.rooms(c)
	if err != nil {
		return nil, err
	}
	who := clientOf(c)
	all := h.sign.read(c.Request(), who)
	id, ok := h.sign.owner(all, forSocket, in, c.QueryParam("t"))
	if !ok && all.sent {
		// Only a page of one of the browser's sessions knows the token. It stands
		// behind the check of Origin, for the day when a proxy or a browser gets that
		// wrong. A client without a session has nothing that could be abused.
		h.refused.token.Add(1)
		return nil, problem(http.StatusForbidden, "This page is too old", "Its session has ended. Reload the page.")
	}
	user := ""
	if ok {
		user = userOf(id)
	}
	v := &limitedView{visitor: visitor{h.limiter, who}, counts: h.limiter.sockets}
	granted := func(topic, grant string) bool {
		return ok && h.sign.validToken(forGrant, id+"\x00"+topic, grant)
	}
	if v.View, err = h.app.View(v.as(user, granted), topics...); err != nil {
		// Another version of the program has signed it, which had more kinds of topic.
		return nil, problem(http.StatusForbidden, "This page is too old", "What it shows is not here any more. Go back to the start page.")
	}
	return v, nil
}
