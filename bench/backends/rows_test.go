package backends_test

import (
	"testing"

	"lockstep/internal/testserver"
)

// A row is one backend. All but what is measured is said here.
type row struct {
	name     string // what people call it
	urls     string // schemes
	delivery string // how often a message arrives, and what is said of loss
	order    string // of messages
	payload  string // the largest that travels; what is larger is read from the store
	store    string // what keeps states
	promise  string // what survives, and the setting that it needs
	down     string // what happens while it is away
	install  string
	// start starts the server of a benchmark, and returns its URL. Nil: there is no broker to
	// measure.
	start func(b testing.TB) (url string)
}

// gaps is what all brokers of this module say of what is lost.
const gaps = "at most once; a loss is a gap"

// perTopic is the order of most brokers.
const perTopic = "kept in each topic"

// away is what happens to all of them.
const away = "clicks count, other replicas follow within 2 s by the store; `/readyz` is 503"

// rows are all backends, in the order of the table.
func rows() []row {
	return []row{
		{
			name: "this process", urls: "`mem:`",
			delivery: gaps, order: perTopic, payload: "any",
			store: "memory", promise: "nothing outlives the process", down: "it is the process",
			install: "nothing",
			start:   func(testing.TB) string { return "mem:" },
		},
		{
			name: "a file", urls: "`file:`",
			delivery: "in the process", order: perTopic, payload: "any",
			store: "bbolt, one process at a time", promise: "what is acknowledged survives a loss of power; no setting", down: "clicks wait in the tabs",
			install: "nothing",
		},
		{
			name: "Redis 7, Valkey", urls: "`redis://` `rediss://` `redis+cluster://`",
			delivery: gaps, order: perTopic, payload: "512 MB",
			store: "one script for each topic of a batch", promise: "what is acknowledged survives a crash with `appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`",
			down: away + "; clicks wait if it is the store, too", install: "`redis-server`",
			start: func(b testing.TB) string { return testserver.Redis(b).URL },
		},
		{
			name: "PostgreSQL 13 or later", urls: "`postgres://` `postgresql://`",
			delivery: gaps, order: "kept in all topics", payload: "5.9 KB, 7.9 KB of text",
			store: "one round trip for a batch of topics", promise: "what is acknowledged survives a crash; `fsync` and `full_page_writes` on, as they are",
			down: away + "; clicks wait if it is the store, too", install: "`postgresql`; no pooler in transaction mode for the broker",
			start: func(b testing.TB) string { return testserver.Postgres(b).URL },
		},
		{
			name: "NATS 2.2 or later", urls: "`nats://` `tls://`",
			delivery: gaps, order: "kept for each publisher and topic", payload: "`max_payload`, 1 MB",
			store: "none: one of the others", promise: "that of the store", down: away,
			install: "`nats-server`; no JetStream",
			start:   func(b testing.TB) string { return testserver.NATS(b, "").URL },
		},
	}
}
