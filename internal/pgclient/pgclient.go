// Package pgclient has the settings of pgx that this project needs: no
// prepared statements, and connections that prove that they are to a server
// that takes writes. It is shared by the driver and the store for PostgreSQL,
// and knows neither.
package pgclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/precondition"
)

// dialTimeout is how long one address may take to answer, where the URL does
// not say connect_timeout.
const dialTimeout = 2 * time.Second

// ErrReadOnly means that an address leads to a server that takes no writes.
var ErrReadOnly = errors.New("the server takes no writes: it is a standby, or default_transaction_read_only is on")

// A Use is what connections are for. The zero value is the store's.
type Use struct {
	// Broker: a session lives as long as the server, most of it in silence, so
	// limits of the server on sessions and statements are turned off in it.
	Broker bool
	// Preconditions is told what each server does not meet; nil: nobody.
	Preconditions *precondition.Part
}

// Parse reads a postgres:// or postgresql:// URL for connections without a
// pool; options of a pool (pool_max_conns and so on) are left out. Its errors
// contain no password.
func Parse(url string, use Use) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, URLError(err)
	}
	for name := range c.RuntimeParams {
		if strings.HasPrefix(name, "pool_") {
			delete(c.RuntimeParams, name) // a server would refuse it
		}
	}
	Prepare(c, use)
	return c, nil
}

// URLError is what may be said of the error of a pgx function that has read a
// URL: all else may contain a password.
func URLError(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) { // of sslrootcert, sslcert or sslkey
		return file
	}
	return errors.New("not a valid PostgreSQL URL (postgres://user:password@host:port/database)")
}

// Prepare puts the settings into a configuration that pgx has read. Each
// connection then proves its role before it is used: of several hosts in the
// URL the first one that takes writes is chosen, and an address that leads to
// a standby for a while is tried again, never believed.
func Prepare(c *pgx.ConnConfig, use Use) {
	// They do not survive a pooler between us and the server.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = dialTimeout
	}
	wanted := c.ValidateConnect // target_session_attrs of the URL
	c.ValidateConnect = func(ctx context.Context, session *pgconn.PgConn) error {
		if wanted != nil {
			if err := wanted(ctx, session); err != nil {
				return err
			}
		}
		return prove(ctx, session, use)
	}
}

// question asks a server all at once: can it be written to, who is it, how is
// it set, is there a pooler between it and us, and what is the time.
const question = `SELECT current_setting('transaction_read_only'), pg_postmaster_start_time()::text, pg_backend_pid()::text,
	current_setting('fsync'), current_setting('full_page_writes'), current_setting('autovacuum'),
	(extract(epoch FROM clock_timestamp()) * 1000)::bigint::text`

// prove returns an error unless a new session is with a server that takes
// writes. It passes on what else the server says, and prepares the session.
func prove(ctx context.Context, session *pgconn.PgConn, use Use) error {
	before := time.Now()
	says, err := ask(ctx, session, question, 7)
	switch {
	case err != nil:
		return err
	case says[0] != "off":
		return ErrReadOnly
	}
	if !use.Broker {
		use.Preconditions.Saw("", says[1], append(clock(before, says[6]), unmet(says[3], says[4], says[5])...)...)
	}
	// A pooler gives clients numbers of its own. What is set on the server's
	// session behind it is anybody's next.
	if says[2] != fmt.Sprint(session.PID()) {
		return nil
	}
	_, err = ask(ctx, session, settings(use), 0)
	return err
}

// settings make a session independent of what is set for the server, the
// database or the role. They touch what the server knows only.
//
// Statements that wait for one another must see each other's commits, or they
// fail (40001): so the store's are read committed.
func settings(use Use) string {
	values := "('default_transaction_isolation', 'read committed')"
	if use.Broker {
		values += ", ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0')," +
			" ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0')"
	}
	return "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES " + values + ") AS own(name, value) USING (name)"
}

// unmet is what a store relies on, and a server does not do.
func unmet(fsync, pages, vacuum string) (all []precondition.Unmet) {
	if fsync != "on" {
		all = append(all, precondition.Unmet{Name: "postgres_fsync",
			Text: "fsync is off: a crash of the server's machine loses acknowledged clicks and may damage the database; set fsync = on"})
	}
	if pages != "on" {
		all = append(all, precondition.Unmet{Name: "postgres_full_page_writes",
			Text: "full_page_writes is off: a crash of the server's machine may damage the database; set full_page_writes = on"})
	}
	if vacuum != "on" {
		all = append(all, precondition.Unmet{Name: "postgres_autovacuum",
			Text: "autovacuum is off: clicks become slower from day to day; set autovacuum = on"})
	}
	return all
}

// clock is what is wrong with a server's clock, which has shown a number of
// milliseconds since a moment of ours.
func clock(before time.Time, millis string) []precondition.Unmet {
	ms, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return nil
	}
	return precondition.Clock("postgres_clock", before, time.UnixMilli(ms), time.Now())
}

// ask runs one statement and returns the columns of its first row; it must
// have at least n. It needs no parameters and no types: a session is asked
// before pgx knows it.
func ask(ctx context.Context, session *pgconn.PgConn, statement string, n int) ([]string, error) {
	results, err := session.Exec(ctx, statement).ReadAll()
	if err != nil || n == 0 {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < n {
		return nil, errors.New("not the answer of a PostgreSQL server")
	}
	var columns []string
	for _, c := range results[0].Rows[0] {
		columns = append(columns, string(c))
	}
	return columns, nil
}

// Elsewhere reports whether an error of a call means that the connection, and
// those made with it, may lead to a server that is not the right one any more:
// a new one must be made before the next call. Other errors of a server are
// about the call.
func Elsewhere(err error) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return errors.Is(err, ErrReadOnly) || cut(err)
	}
	switch refusal.Code {
	case "25006", // read_only_sql_transaction
		"57P01", // admin_shutdown
		"57P02", // crash_shutdown
		"57P03", // cannot_connect_now: it starts, stops or recovers
		"57P04": // database_dropped
		return true
	}
	return strings.HasPrefix(refusal.Code, "08") // connection_exception; poolers say so of the server behind
}

// Starting reports whether an error says that the server does not take
// connections yet, or just now: it starts, stops or recovers.
func Starting(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == "57P03" // cannot_connect_now
}

// cut reports whether a connection has ended without a word of the server. A
// deadline that has passed is no such end: a server may just be slow.
func cut(err error) bool {
	var network *net.OpError
	if errors.As(err, &network) {
		return !network.Timeout()
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
