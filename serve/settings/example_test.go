package settings_test

import (
	"fmt"
	"time"

	"lockstep/serve/settings"
)

func Example() {
	var addr string
	var drain time.Duration
	fs := settings.NewSet("shop")
	fs.Group("Addresses")
	fs.Text(&addr, "addr", "localhost:8000", "`address` to listen at")
	fs.Span(&drain, "drain", 5*time.Second, "longest `time` over which tabs are sent elsewhere at the end")
	if err := fs.Parse([]string{"-addr", ":80"}); err != nil {
		fmt.Println(err)
	}
	environment := map[string]string{"ADDR": "localhost:1", "DRAIN": "2s"} // a flag wins over its variable
	if err := fs.FromEnvironment(func(name string) string { return environment[name] }); err != nil {
		fmt.Println(err)
	}
	fmt.Println(addr, drain)
	// Output:
	// :80 2s
}
