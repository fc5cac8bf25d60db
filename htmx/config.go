package htmx

import (
	"strconv"
	"time"
)

// Config is what the page's meta element "htmx-config" has, for htmx and hx-ws. Their defaults give
// up for good when a connection is closed with some codes, and wait up to a minute otherwise. Full
// jitter spreads the tabs of a replica that went away: each waits for its delay and up to as much
// more or less, so that is half the bound. The history feature is off because no page is swapped as
// a whole.
func Config() string {
	return `{"morphIgnore":["data-htmx-powered","open"],"history":false,"includeIndicatorCSS":false,` +
		`"ws":{"reconnectCodes":[1000,1001,1005,1006,1008,1009,1011,1012,1013,1014,1015],` +
		`"reconnectDelay":` + milliseconds(ReconnectMin/2) +
		`,"reconnectMaxDelay":` + milliseconds(ReconnectMax/2) + `,"reconnectJitter":1}}`
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
