package web

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"rsc.io/qr"

	"lockstep/app"
	"lockstep/app/pages"
)

// share is what others are given of a topic's page.
func share(base, topic string) pages.Share {
	return pages.Share{Link: base + app.Path(topic), Code: base + "/share.svg?topic=" + topic}
}

// code serves the address of a topic's page as a QR code. It has the host of the request in it, so
// no cache may keep it for others.
func (h *pageHandler) code(c echo.Context) error {
	topic := c.QueryParam("topic")
	if !h.app.HasTopic(topic) {
		return echo.ErrNotFound
	}
	address := originOf(c) + baseOf(c) + app.Path(topic)
	code, err := qr.Encode(address, qr.M)
	if err != nil {
		return fmt.Errorf("web: %q as a QR code: %w", address, err)
	}
	c.Response().Header().Set("Cache-Control", "private, no-cache")
	return c.Blob(http.StatusOK, "image/svg+xml", drawCode(code))
}

// quietZone is how many modules around a code are white (ISO/IEC 18004).
const quietZone = 4

// drawCode draws a code as SVG: a square for each run of black modules in a row.
func drawCode(code *qr.Code) []byte {
	var b bytes.Buffer
	size := code.Size + 2*quietZone
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, size, size, size, size)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, run, run)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes()
}
