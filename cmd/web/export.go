package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"lockstep/app/web"
	"lockstep/static"
	"lockstep/static/compile"
)

// exportApp writes the application that runs in browsers into a folder. It compiles it first where
// this program was built without it.
func exportApp(dir string, stdout io.Writer) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	assets, err := static.New()
	if err != nil {
		return err
	}
	if err := compile.Now(ctx, assets, nil); err != nil {
		return fmt.Errorf("-export: %w", err)
	}
	if err := web.Export(assets, dir); err != nil {
		return fmt.Errorf("-export: %w", err)
	}
	_, _ = fmt.Fprintf(stdout, "The application is in %s. Any server of files can serve it, under any address:\n  cd %s && python3 -m http.server\n", dir, dir)
	return nil
}
