package backends

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/pgclient"
	"lockstep/pubsub/dualpubsub"
)

// An Error says in one sentence why a broker or a store can't be used. It has no password in it.
type Error struct {
	ofURL  bool
	reason string
	err    error
}

// Error implements error.
func (e *Error) Error() string { return "backends: " + e.reason }

// Reason is the sentence alone, for who says elsewhere which broker or store it is.
func (e *Error) Reason() string { return e.reason }

// OfURL reports whether the URL is wrong: trying it again is of no use.
func (e *Error) OfURL() bool { return e.ofURL }

// Unwrap returns the cause; nil: the URL is.
func (e *Error) Unwrap() error { return e.err }

// wrongURL makes the error of a URL that can't be used, and does not say the URL.
func wrongURL(format string, args ...any) error {
	return &Error{ofURL: true, reason: fmt.Sprintf(format, args...)}
}

// Explain returns an *Error that says why the broker or store at a URL can't be used: it names the
// server without its password, and leaves out the layers that err has gone through. It is for what
// the start of an application returns; Store explains its errors itself, and Explain returns them
// as they are. Nil: err is nil.
func Explain(url string, err error) error {
	if _, explained := errors.AsType[*Error](err); err == nil || explained {
		return err
	}
	if !Shared(url) {
		return &Error{reason: err.Error(), err: err}
	}
	if both, ok := errors.AsType[*dualpubsub.OpenError](err); ok {
		first, second, _ := pairOf(url)
		return &Error{err: err, reason: fmt.Sprintf("neither %s can be used: %v; nor %s: %v", placeOf(first), causeOf(both.First), placeOf(second), causeOf(both.Second))}
	}
	cause := causeOf(err)
	return &Error{reason: fmt.Sprintf("%s can't be used: %v", placeOf(url), cause), err: err}
}

// causeOf is what a person can do something about, of an error of a server.
func causeOf(err error) error {
	var network *net.OpError
	var refusal *pgconn.PgError
	var stranger *tls.CertificateVerificationError
	switch {
	case errors.Is(err, pgclient.ErrReadOnly):
		return pgclient.ErrReadOnly
	case errors.As(err, &stranger):
		return stranger
	case errors.As(err, &network):
		return network
	case errors.As(err, &refusal):
		return errors.New(refusal.Message)
	}
	return err
}
