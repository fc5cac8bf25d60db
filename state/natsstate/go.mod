module lockstep/state/natsstate

go 1.26.0

replace (
	lockstep => ../..
	lockstep/internal/natsclient => ../../internal/natsclient
)

require (
	github.com/nats-io/nats.go v1.55.0
	go.uber.org/goleak v1.3.0
	lockstep v0.0.0
	lockstep/internal/natsclient v0.0.0-00010101000000-000000000000
)

require (
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)
