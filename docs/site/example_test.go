package site_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"lockstep/docs/site"
)

func Example() {
	book, err := site.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/docs/", http.StripPrefix("/docs", book))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/docs/tutorial/", nil))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "From an empty folder"))
	// Output: 200 true
}
