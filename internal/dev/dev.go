// Package dev runs a program of the kit while somebody edits it: on a change of a source it
// generates what is made of it, builds, restarts the server and has the open tabs reload, with
// what their person has typed and opened in them. A style sheet is exchanged without that. What
// does not build is shown in the terminal and in the tabs, and the old server goes on.
//
// It listens on an address and passes everything on to the server, so that tabs find somebody there
// at any time. Into pages it puts one script; the server itself is as in production.
//
// It is for one developer on one machine.
package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"time"
)

// Options say what is run. Zero values are the defaults.
type Options struct {
	Addr   string   // where tabs find it, "localhost:8000"
	Folder string   // that has the main package. "": the current one.
	Args   []string // of the program
	// Generate are folders that go generate works on when a file below them changes. More folders
	// that they are made of may follow: "static=htmx,icons". Templates elsewhere are templ's.
	Generate []string
	// Ignore are files and folders that are no sources, such as what is generated.
	Ignore []string
}

// Run works until ctx ends. It leaves no process behind, and everything generated. What is wrong
// with the options is an error of one sentence.
func Run(ctx context.Context, o Options) error {
	runtime.LockOSThread() // see ownGroup
	tabs := newTabs(time.Now())
	p, err := newProgram(ctx, o, tabs.down)
	if err != nil {
		return err
	}
	defer p.close()
	l, err := listen(ctx, o.Addr)
	if err != nil {
		return err
	}
	public := &http.Server{Handler: handler(tabs), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- public.Serve(l) }() // ends with public.Close
	(&runner{project: p, generators: p.generators, tabs: tabs, url: urlOf(o.Addr, l)}).run(ctx)
	_ = public.Close() // tabs keep their event streams open: nothing to wait for
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken: end what listens there, or say another -addr", addr)
	}
	return l, err
}

// urlOf is where a listener is, by the name of its host that was given.
func urlOf(addr string, l net.Listener) string {
	host, _, _ := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if host == "" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
