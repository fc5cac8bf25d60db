package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
)

// waitForPages reads all pages, and waits for them as long as Options.Wait says.
func (r *run) waitForPages(ctx context.Context) error {
	deadline := time.Now().Add(r.Wait)
	for {
		err := r.readPages(ctx)
		if err == nil || ctx.Err() != nil || !time.Now().Before(deadline) {
			return err
		}
		pause(ctx, pollInterval)
	}
}

// readPages reads every page before the first click: each has to be there and to know its count.
func (r *run) readPages(ctx context.Context) error {
	for _, u := range r.targets[1:] {
		if _, err := r.page(ctx, u, 0); err != nil {
			return err
		}
	}
	views, err := r.pages(ctx)
	if err != nil {
		return err
	}
	r.before = make([]protocol.State, len(views))
	for i, v := range views {
		if !v.Known {
			return fmt.Errorf("load: %w: %s says that it does not know the count: is its store reachable?", ErrUnreachable, r.address(i))
		}
		r.before[i] = v.State
		sum := &r.c.counters[i]
		sum.first, sum.reader = v.State, v.User
		if sum.book, err = newBook(r.Protocol.Traits().Kind, v); err != nil {
			return fmt.Errorf("load: %w: %s: %w", ErrUnreachable, r.address(i), err)
		}
	}
	return nil
}

// pages gets the page of each counter; the targets take turns.
func (r *run) pages(ctx context.Context) ([]*protocol.View, error) {
	views := make([]*protocol.View, r.Counters)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range views {
		g.Go(func() (err error) {
			views[i], err = r.page(ctx, r.targets[i%len(r.targets)], i)
			return err
		})
	}
	return views, g.Wait()
}

func (r *run) page(ctx context.Context, u *url.URL, counter int) (*protocol.View, error) {
	v, err := browser.Page(ctx, r.client, r.Protocol, u, counter)
	switch {
	case err == nil:
		return v, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	at := strings.TrimSuffix(u.Redacted(), "/") + r.Protocol.Page(counter)
	hint := hintFor(err, u)
	if errors.As(err, new(*url.Error)) {
		err = errors.New(browser.Cause(err)) // the address is said already
	}
	if hint != "" {
		return nil, fmt.Errorf("load: %w: %s: %w: %s", ErrUnreachable, at, err, hint)
	}
	return nil, fmt.Errorf("load: %w: %s: %w", ErrUnreachable, at, err)
}

// hintFor says what may help against an error of a page; "" if nobody knows.
func hintFor(err error, u *url.URL) string {
	const wantsLogin = "if it wants a login, give -cookie or -header"
	refused, _ := errors.AsType[browser.Refusal](err)
	code, _, _ := strings.Cut(refused.Status, " ")
	switch {
	case errors.As(err, new(*browser.RedirectError)), code == "401", code == "403":
		return wantsLogin
	case code == "404":
		return "is this Lockstep? Another page is given with its path"
	case code == "400" && u.Scheme == "http":
		return "does it speak https?"
	case errors.Is(err, protocol.ErrNoSocket):
		return "is it the page of a live counter? For another page choose -protocol htmx and -selector"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)):
		return "does it speak http?"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "-insecure accepts any certificate"
	case errors.As(err, new(*url.Error)):
		return "is the server running, and the URL right?"
	}
	return ""
}

func (r *run) address(counter int) string {
	return strings.TrimSuffix(r.targets[0].Redacted(), "/") + r.Protocol.Page(counter)
}
