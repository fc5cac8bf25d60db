module lockstep/natsembedded

go 1.26.0

require (
	github.com/gofrs/flock v0.13.2
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nats.go v1.55.0
	github.com/nats-io/nkeys v0.4.16
	go.uber.org/goleak v1.3.0
	lockstep v0.0.0
	lockstep/pubsub/natspubsub v0.0.0
	lockstep/state/natsstate v0.0.0
)

require (
	github.com/a-h/templ v0.3.1118 // indirect
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/time v0.16.0 // indirect
	lockstep/internal/natsclient v0.0.0 // indirect
)

replace (
	lockstep => ..
	lockstep/internal/natsclient => ../internal/natsclient
	lockstep/pubsub/natspubsub => ../pubsub/natspubsub
	lockstep/state/natsstate => ../state/natsstate
)
