package ops_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/state/memstate"
)

func ExampleNew() {
	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
	s := serve.New(app, nil, nil)

	mux := http.NewServeMux()
	mux.Handle("/ops", ops.New(app, &ops.Options{Token: "a token that nobody guesses"}).Handler(s))
	// s.ListenAndServe(":8000", mux) starts the application, too.

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/ops", nil))
	fmt.Println(answer.Code, answer.Header().Get("WWW-Authenticate"))
	// Output: 401 Basic realm="ops", charset="UTF-8"
}
