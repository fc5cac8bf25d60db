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

// away is what happens to all of them; the text below the table says more.
const away = "clicks count"

// What several backends have in common.
const (
	oneScript = "one script for each topic of a batch"
	waits     = "; as the store, they wait"
	none      = "none: one of the others"
	ofStore   = "that of the store"
)

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
			name: "Redis 7, Valkey", urls: "`redis://` `rediss://`",
			delivery: gaps, order: perTopic, payload: "512 MB",
			store: oneScript, promise: "what is acknowledged survives a crash with `appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`",
			down: away + waits, install: "`redis-server`",
			start: func(b testing.TB) string { return testserver.Redis(b).URL },
		},
		{
			name: "Redis with Sentinel", urls: "`redis+sentinel://` `rediss+sentinel://`",
			delivery: gaps, order: perTopic, payload: "512 MB",
			store: oneScript, promise: "as Redis; a failover may lose the last moment, less with `min-replicas-to-write 1`",
			down: away + waits, install: "`redis-server`, `redis-sentinel`",
			start: func(b testing.TB) string { return testserver.NewRedisSentinel(b, false).URL },
		},
		{
			name: "Redis Cluster", urls: "`redis+cluster://` `rediss+cluster://`",
			delivery: gaps, order: perTopic, payload: "512 MB",
			store: oneScript + ", on all masters", promise: "as Redis; a failover may lose the last moment",
			down: away + waits, install: "`redis-server`",
			start: func(b testing.TB) string { return testserver.NewRedisCluster(b, 3, 0).URL },
		},
		{
			name: "PostgreSQL 13 or later", urls: "`postgres://` `postgresql://`",
			delivery: gaps, order: "kept in all topics", payload: "5.9 KB, 7.9 KB of text",
			store: "one round trip for a batch of topics", promise: "what is acknowledged survives a crash; `fsync` and `full_page_writes` on, as they are",
			down: away + waits, install: "`postgresql`; behind a pooler in transaction mode `?listen=` for the broker",
			start: func(b testing.TB) string { return testserver.Postgres(b).URL },
		},
		{
			name: "NATS 2.2 or later, as store 2.12", urls: "`nats://` `tls://`",
			delivery: gaps, order: "kept for each publisher and topic", payload: "`max_payload`, 1 MB",
			store: "JetStream, one atomic batch for the steps of a commit", promise: "what is acknowledged survives a crash with `sync_interval: always`, which `?sync=always` says, or with a stream on three machines that do not fail together",
			down: away + waits, install: "`nats-server`, with JetStream for the store",
			start: func(b testing.TB) string { return testserver.NATS(b, "").URL },
		},
		{
			name: "NATS within the replicas", urls: "`nats-embedded:`",
			delivery: gaps, order: "kept for each publisher and topic", payload: "1 MB",
			store: "JetStream, on the disks of the replicas", promise: "what is acknowledged is on the disks of a majority; no setting",
			down: "it is the replicas: clicks wait while fewer than a majority of them run", install: "nothing",
			start: func(b testing.TB) string { return "nats-embedded:" + b.TempDir() },
		},
		{
			name: "RabbitMQ 3.10 or later", urls: "`amqp://` `amqps://`",
			delivery: gaps, order: "kept for each publisher and topic", payload: "64 KB",
			store: none, promise: ofStore, down: away, install: "`rabbitmq-server`",
			start: func(b testing.TB) string { return testserver.RabbitMQ(b, "").URL },
		},
		{
			name: "Amazon SNS and SQS (by goaws, an emulator)", urls: "`snssqs://`",
			delivery: "at least once; what is too late is a gap", order: "none", payload: "196 KB",
			store: none, promise: ofStore, down: away, install: "an account, or an emulator",
			start: func(b testing.TB) string { return testserver.Goaws(b).URL },
		},
	}
}
