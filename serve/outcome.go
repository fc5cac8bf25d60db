package serve

import "net/http"

// outcomeCookie has what became of an action without JavaScript, from the answer to it until the
// page that it leads to has said so. An address would say it again whenever it is loaded.
const outcomeCookie = "said"

// What became of an action. A double click is at most one: browsers take the first back, or send
// the same form twice.
const (
	countedOnce  = "counted"
	countedTwice = "again"
)

// outcomes is what the page says of them.
func outcomes(code string) string {
	switch code {
	case countedOnce:
		return "That was done."
	case countedTwice:
		return "That came twice, and was done once. Press again to do it once more."
	}
	return ""
}

// leave keeps an outcome for the page that an action leads to.
func leave(w http.ResponseWriter, r *http.Request, code string) {
	setCookie(w, clientOf(r), outcomeCookie, code, 60) // seconds: it is loaded at once
}

// said returns what the page is to say, once; "": nothing.
func said(w http.ResponseWriter, r *http.Request) string {
	kept, err := r.Cookie(outcomeCookie)
	if err != nil {
		return ""
	}
	setCookie(w, clientOf(r), outcomeCookie, "", -1)
	return outcomes(kept.Value)
}
