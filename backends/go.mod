module lockstep/backends

go 1.26.0

require (
	github.com/a-h/templ v0.3.1118
	github.com/jackc/pgx/v5 v5.13.0
	go.uber.org/goleak v1.3.0
	lockstep v0.0.0
	lockstep/internal/pgclient v0.0.0
	lockstep/internal/redisclient v0.0.0
	lockstep/pubsub/natspubsub v0.0.0
	lockstep/pubsub/pgpubsub v0.0.0
	lockstep/pubsub/rabbitpubsub v0.0.0
	lockstep/pubsub/redispubsub v0.0.0
	lockstep/state/natsstate v0.0.0
	lockstep/state/pgstate v0.0.0
	lockstep/state/redisstate v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/rabbitmq/amqp091-go v1.16.0 // indirect
	github.com/redis/go-redis/v9 v9.23.0 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.44.0 // indirect
	golang.org/x/time v0.16.0 // indirect
	lockstep/internal/natsclient v0.0.0 // indirect
)

replace (
	lockstep => ..
	lockstep/internal/natsclient => ../internal/natsclient
	lockstep/internal/pgclient => ../internal/pgclient
	lockstep/internal/redisclient => ../internal/redisclient
	lockstep/pubsub/natspubsub => ../pubsub/natspubsub
	lockstep/pubsub/pgpubsub => ../pubsub/pgpubsub
	lockstep/pubsub/rabbitpubsub => ../pubsub/rabbitpubsub
	lockstep/pubsub/redispubsub => ../pubsub/redispubsub
	lockstep/state/natsstate => ../state/natsstate
	lockstep/state/pgstate => ../state/pgstate
	lockstep/state/redisstate => ../state/redisstate
)
