package htmx_test

import (
	"fmt"
	"strings"

	"lockstep/htmx"
)

// What a tab is sent when a state has changed: it drops what is older than what it shows.
func ExampleState() {
	m := string(htmx.State("counter:lobby", 1, 7, htmx.Partial{Target: "#counter", HTML: "<b>42</b>"}))
	fmt.Println(strings.Replace(m, `,"content"`, ",\n\"content\"", 1))
	// Output:
	// {"t":"counter:lobby","e":1,"v":7,"swap":"none",
	// "content":"<hx-partial hx-target=\"#counter\" hx-swap=\"innerMorph\"><b>42</b></hx-partial>"}
}

// What a tab says when somebody has clicked: the third click of this page in the lobby.
func ExampleParseEvent() {
	e, err := htmx.ParseEvent([]byte(`{"op":["kqTlWWkEdZp1Yw3AXh2ZqA",3,1],"seen":1,"t":"counter:lobby","do":"add","in":{"by":"2"}}`))
	fmt.Println(e.Op.Topic, e.Op.Seq, e.Do, string(e.In), err)
	// Output: counter:lobby 3 add {"by":"2"} <nil>
}
