package web

import "github.com/labstack/echo/v4"

// outcomeCookie has what became of a click without JavaScript, from the answer to it until the page
// that it leads to has said so. An address would say it again whenever it is loaded.
const outcomeCookie = "said"

// What became of a click. A double click is at most one: browsers take the first back, or send the
// same form twice.
const (
	countedOnce  = "counted"
	countedTwice = "again"
)

// outcomes is what the page says of them.
func outcomes(code string) string {
	switch code {
	case countedOnce:
		return "One click was counted."
	case countedTwice:
		return "That click came twice, and was counted once. Press again to do it once more."
	}
	return ""
}

// leave keeps an outcome for the page that a click leads to.
func leave(c echo.Context, code string) {
	setCookie(c.Response(), clientOf(c), outcomeCookie, code, 60) // seconds: it is loaded at once
}

// said returns what the page is to say, once; "": nothing.
func said(c echo.Context) string {
	kept, err := c.Cookie(outcomeCookie)
	if err != nil {
		return ""
	}
	setCookie(c.Response(), clientOf(c), outcomeCookie, "", -1)
	return outcomes(kept.Value)
}
