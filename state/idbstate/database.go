//go:build js

package idbstate

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"
)

// A connection is the connection to the database: none before the first call, and
// after the browser has closed it, as it does when the site's data is cleared.
type connection struct {
	db     js.Value // undefined: none
	closed bool     // by Close
	drop   js.Func  // has the browser close db
}

// A phase is called when the requests before it have succeeded, inside of the
// transaction: it must not block, and its error undoes everything. It returns
// requests and the phase for when these have succeeded; none is the last.
type phase func() (next phase, requests []js.Value, err error)

// transact runs one transaction. begin makes its first requests. A transaction
// ends by itself as soon as nothing is asked of it, so there must be a request at
// any time.
func (s *Store) transact(ctx context.Context, mode string, begin func(tx js.Value) (phase, []js.Value)) error {
	db, err := s.connect(ctx)
	if err != nil {
		return err
	}
	t := &transaction{over: make(chan error, 1)}
	if err := attempt(func() error { t.run(db, mode, begin); return nil }); err != nil {
		// The browser may have lost the connection without a word; another call
		// opens a new one.
		s.drop(db)
		return wrap(err)
	}
	select {
	case err := <-t.over:
		if err != nil && t.refusal == nil {
			s.drop(db)
		}
		return wrap(err)
	case <-ctx.Done():
		abort(t.tx)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			go s.drop(db) // it waits for the lock
		}
		return ctx.Err()
	}
}

// A transaction is one under way. The browser calls its functions, and it is
// over when the last has been: they are released then.
type transaction struct {
	tx      js.Value
	over    chan error // of size 1
	refusal error      // of a phase; read after over
	next    phase

	succeeded, ended js.Func
}

// run begins the transaction. It panics with what JavaScript throws; then there is
// none, or one that has nothing to do.
func (t *transaction) run(db js.Value, mode string, begin func(tx js.Value) (phase, []js.Value)) {
	t.tx = db.Call("transaction", []any{meta, topics, lanes, logs}, mode, map[string]any{"durability": "strict"})
	t.succeeded = js.FuncOf(t.onSuccess)
	t.ended = js.FuncOf(t.onEnd)
	t.tx.Set("oncomplete", t.ended)
	t.tx.Set("onabort", t.ended)
	t.await(begin(t.tx))
}

// await has a phase called after requests.
func (t *transaction) await(next phase, requests []js.Value) {
	t.next = next
	if len(requests) > 0 {
		// Requests of a transaction are answered in their order.
		requests[len(requests)-1].Set("onsuccess", t.succeeded)
	}
}

func (t *transaction) onSuccess(js.Value, []js.Value) any {
	t.refusal = attempt(func() error {
		next, requests, err := t.next()
		if err == nil {
			t.await(next, requests)
		}
		return err
	})
	if t.refusal != nil {
		abort(t.tx)
	}
	return nil
}

// abort undoes a transaction, unless it is over.
func abort(tx js.Value) {
	_ = attempt(func() error { tx.Call("abort"); return nil })
}

func (t *transaction) onEnd(_ js.Value, args []js.Value) any {
	err := errors.Join(t.refusal, reason(t.tx.Get("error")))
	if err == nil && args[0].Get("type").String() == "abort" {
		err = errors.New("the browser has undone the transaction")
	}
	t.over <- err
	t.succeeded.Release()
	t.ended.Release()
	return nil
}

// attempt returns f's error, or what JavaScript threw in it. In a function that
// the browser calls nothing may be thrown: it would end the whole program.
func attempt(f func() error) (err error) {
	defer thrown(&err)
	return f()
}

// connect returns the open database, and opens it when it is not.
func (s *Store) connect(ctx context.Context) (js.Value, error) {
	var c connection
	select {
	case c = <-s.conn:
	case <-ctx.Done():
		return js.Undefined(), ctx.Err()
	}
	defer func() { s.conn <- c }()
	switch {
	case ctx.Err() != nil:
		return js.Undefined(), ctx.Err()
	case c.closed:
		return js.Undefined(), errClosed
	case !c.db.IsUndefined():
		return c.db, nil
	}
	db, err := s.open(ctx)
	if err != nil {
		return js.Undefined(), err
	}
	c = connection{db: db}
	c.drop = js.FuncOf(func(js.Value, []js.Value) any {
		go s.drop(db) // it waits for the lock
		return nil
	})
	db.Set("onclose", c.drop)
	db.Set("onversionchange", c.drop)
	return db, nil
}

// drop lets go of a database that the browser has closed, or wants to delete.
func (s *Store) drop(db js.Value) {
	c := <-s.conn
	if c.db.Equal(db) {
		c.end()
		c = connection{closed: c.closed}
	}
	s.conn <- c
}

func (c connection) end() {
	if c.db.IsUndefined() {
		return
	}
	c.db.Set("onclose", js.Null())
	c.db.Set("onversionchange", js.Null())
	c.db.Call("close")
	c.drop.Release()
}

// open opens the database, and makes what is in it when it is new. Its epoch is
// later than the last then.
func (s *Store) open(ctx context.Context) (js.Value, error) {
	o := opening{store: s}
	if err := attempt(o.run); err != nil {
		return js.Undefined(), wrap(err)
	}
	select {
	case err := <-o.over:
		return o.request.Get("result"), wrap(err)
	case <-ctx.Done():
		go o.close() // it ends when the browser answers
		return js.Undefined(), fmt.Errorf("idbstate: the database does not open: %w", ctx.Err())
	}
}

// An opening is a database that is being opened.
type opening struct {
	store   *Store
	request js.Value
	over    chan error // of size 1
	failure error      // of upgrade

	upgrade, moving, ended js.Func
}

// run begins it. It panics with what JavaScript throws; then there is none.
func (o *opening) run() error {
	// Not js.Value.Get: where it throws, as it does in some browsers that forbid
	// storage, the program ends.
	factory := js.Global().Get("Reflect").Call("get", js.Global(), "indexedDB")
	if !factory.Truthy() {
		return errors.New("this browser has no IndexedDB, or does not let this page use it")
	}
	o.request = factory.Call("open", o.store.name, format)
	o.over = make(chan error, 1)
	o.upgrade = js.FuncOf(func(_ js.Value, args []js.Value) any {
		o.try(func() error { return o.fill(args[0].Get("oldVersion").Int()) })
		return nil
	})
	o.ended = js.FuncOf(func(js.Value, []js.Value) any {
		o.upgrade.Release()
		o.ended.Release()
		if o.moving.Truthy() {
			o.moving.Release()
		}
		o.over <- errors.Join(o.failure, o.reason())
		return nil
	})
	o.request.Set("onupgradeneeded", o.upgrade)
	o.request.Set("onsuccess", o.ended)
	o.request.Set("onerror", o.ended)
	return nil
}

// reason is why the database does not open, unless it is the failure.
func (o *opening) reason() error {
	exception := o.request.Get("error")
	if o.failure != nil {
		return nil
	}
	if exception.Truthy() && exception.Get("name").String() == "VersionError" {
		return errLater
	}
	return reason(exception)
}

// try does a part of an upgrade, or undoes all of it.
func (o *opening) try(f func() error) {
	if o.failure = attempt(f); o.failure != nil {
		abort(o.request.Get("transaction"))
	}
}

// close closes a database that nobody waits for any more: open, it would keep
// others from deleting it.
func (o *opening) close() {
	if <-o.over == nil {
		o.request.Get("result").Call("close")
	}
}

// reason makes an error of a DOMException; null is none.
func reason(exception js.Value) error {
	if !exception.Truthy() {
		return nil
	}
	return errors.New(exception.Get("name").String() + ": " + exception.Get("message").String())
}

// wrap names the package, but for what callers decide on.
func wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("idbstate: %w", err)
}

// thrown, deferred, makes an error of what JavaScript threw, and of values that
// are not what they should be.
func thrown(err *error) {
	switch p := recover().(type) {
	case nil:
	case js.Error:
		*err = errors.Join(*err, p)
	case *js.ValueError:
		*err = errors.Join(*err, p)
	default:
		panic(p)
	}
}
