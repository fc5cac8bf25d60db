// Command dev runs the app of this checkout while you edit it: on a change of
// a template, style sheet, script or Go file it generates what belongs to it,
// builds, restarts the server and has the open tabs reload. What does not
// build is shown in the terminal and in the tabs, and the old server goes on.
//
// It listens on -addr and passes everything on to the server, so that tabs find
// somebody there at any time. Into pages it puts one script; the server itself
// is as in production. Arguments after the flags are flags of cmd/web.
//
// It is for one developer on one machine. It runs in the root of the checkout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "localhost:8000", "listen `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	if err := dev(ctx, *addr, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// dev works until ctx ends. It leaves no process behind, and every generated
// file as "make generate" writes it.
func dev(ctx context.Context, addr string, args []string) error {
	runtime.LockOSThread() // see ownGroup
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	tabs := newTabs(time.Now())
	c, err := newCheckout(".", args, tabs.down)
	if err != nil {
		_ = l.Close()
		return err
	}
	defer c.close()
	public := &http.Server{Handler: handler(tabs), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- public.Serve(l) }() // ends with public.Close
	(&runner{project: c, tabs: tabs, url: "http://" + addr}).run(ctx)
	_ = public.Close() // tabs keep their event streams open: nothing to wait for
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
