package compile_test

import (
	"log"
	"log/slog"

	"lockstep/static"
	"lockstep/static/compile"
)

// A server of a checkout compiles what it was built without, while it serves.
func ExampleCompiler() {
	assets, err := static.New()
	if err != nil {
		log.Fatal(err)
	}
	c := compile.New(assets, &compile.Options{Logger: slog.Default()})
	c.Start()
	defer c.Stop()
	log.Print(assets.Progress().Text)
}
