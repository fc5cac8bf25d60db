package serve

import "sync/atomic"

// refusals count what was not let in, by reason. They may be used concurrently.
type refusals struct {
	requests, sockets, socketsOfAddr, messagesOfTab, messagesOfAddr, clicksOfAddr, lanesOfAddr, namesOfAddr, uploadsOfAddr, host, origin, token atomic.Uint64
}

// Refused returns how many requests, sockets, messages and ops the server has turned away, by
// reason: those of the metrics.
func (s *Server) Refused() map[string]uint64 {
	if s.wrong != nil {
		return nil
	}
	counts := s.refused.byReason()
	counts["origin"] += s.sockets.Stats().Foreign + s.plain.Stats().Foreign
	return counts
}

// byReason returns the counts by their names in the metrics. The origin's are those of forms:
// wslive.Stats has the sockets of other origins.
func (r *refusals) byReason() map[string]uint64 {
	return map[string]uint64{
		"requests_of_address": r.requests.Load(), "sockets": r.sockets.Load(), "sockets_of_address": r.socketsOfAddr.Load(),
		"messages_of_tab": r.messagesOfTab.Load(), "messages_of_address": r.messagesOfAddr.Load(),
		"clicks_of_address": r.clicksOfAddr.Load(), "lanes_of_address": r.lanesOfAddr.Load(), "names_of_address": r.namesOfAddr.Load(),
		"uploads_of_address": r.uploadsOfAddr.Load(), "host": r.host.Load(), "origin": r.origin.Load(), "token": r.token.Load(),
	}
}
