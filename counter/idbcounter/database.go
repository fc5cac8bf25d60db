//go:build js

package idbcounter

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"
	"time"

	"lockstep/counter"
)

// A connection is the connection to the database: none before the first call, and
// after the browser has closed it, as it does when the site's data is cleared.
type connection struct {
	db     js.Value // undefined: none
	closed bool     // by Close
	drop   js.Func  // has the browser close db
}

// transact runs one transaction. begin makes its first requests; what it
// returns is called when they have succeeded, inside of the transaction: it
// must not block, and its error undoes everything. A transaction ends by itself
// as soon as nothing is asked of it, so there must be a request at any time.
func (s *Store) transact(ctx context.Context, mode string, begin func(tx js.Value) (then func() error, requests []js.Value)) error {
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
	refusal error      // of then; read after over
	then    func() error

	succeeded, ended js.Func
}

// run begins the transaction. It panics with what JavaScript throws; then there is
// none, or one that has nothing to do.
func (t *transaction) run(db js.Value, mode string, begin func(tx js.Value) (func() error, []js.Value)) {
	t.tx = db.Call("transaction", []any{meta, values, ops}, mode, map[string]any{"durability": "strict"})
	t.succeeded = js.FuncOf(t.onSuccess)
	t.ended = js.FuncOf(t.onEnd)
	t.tx.Set("oncomplete", t.ended)
	t.tx.Set("onabort", t.ended)
	then, requests := begin(t.tx)
	t.then = then
	// Requests of a transaction are answered in their order.
	requests[len(requests)-1].Set("onsuccess", t.succeeded)
}

func (t *transaction) onSuccess(js.Value, []js.Value) any {
	if t.refusal = attempt(t.then); t.refusal != nil {
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
	db, err := open(ctx, s.name, s.epoch.Load())
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
func open(ctx context.Context, name string, last uint64) (js.Value, error) {
	var o opening
	if err := attempt(func() error { return o.run(name, last) }); err != nil {
		return js.Undefined(), wrap(err)
	}
	select {
	case err := <-o.over:
		return o.request.Get("result"), wrap(err)
	case <-ctx.Done():
		go o.close() // it ends when the browser answers
		return js.Undefined(), fmt.Errorf("idbcounter: the database does not open: %w", ctx.Err())
	}
}

// An opening is a database that is being opened.
type opening struct {
	request js.Value
	over    chan error // of size 1
	failure error      // of create

	create, ended js.Func
}

// run begins it. It panics with what JavaScript throws; then there is none.
func (o *opening) run(name string, last uint64) error {
	// Not js.Value.Get: where it throws, as it does in some browsers that forbid
	// storage, the program ends.
	factory := js.Global().Get("Reflect").Call("get", js.Global(), "indexedDB")
	if !factory.Truthy() {
		return errors.New("this browser has no IndexedDB, or does not let this page use it")
	}
	o.request = factory.Call("open", name, 1)
	o.over = make(chan error, 1)
	o.create = js.FuncOf(func(js.Value, []js.Value) any {
		o.failure = attempt(func() error { fill(o.request.Get("result"), last); return nil })
		if o.failure != nil {
			abort(o.request.Get("transaction"))
		}
		return nil
	})
	o.ended = js.FuncOf(func(js.Value, []js.Value) any {
		o.create.Release()
		o.ended.Release()
		o.over <- errors.Join(o.failure, reason(o.request.Get("error")))
		return nil
	})
	o.request.Set("onupgradeneeded", o.create)
	o.request.Set("onsuccess", o.ended)
	o.request.Set("onerror", o.ended)
	return nil
}

// close closes a database that nobody waits for any more: open, it would keep
// others from deleting it.
func (o *opening) close() {
	if <-o.over == nil {
		o.request.Get("result").Call("close")
	}
}

// fill makes what is in a new database.
func fill(db js.Value, last uint64) {
	epoch := max(time.Now().UnixMilli(), int64(last)+1) //nolint:gosec // a time, which fits
	db.Call("createObjectStore", meta).Call("put", epoch, "epoch")
	db.Call("createObjectStore", values)
	db.Call("createObjectStore", ops).Call("createIndex", until, until)
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
	if err == nil || errors.Is(err, counter.ErrOverflow) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("idbcounter: %w", err)
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
