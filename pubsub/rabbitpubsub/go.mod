module lockstep/pubsub/rabbitpubsub

go 1.26.0

require (
	github.com/rabbitmq/amqp091-go v1.16.0
	go.uber.org/goleak v1.3.0
	lockstep v0.0.0
)

require golang.org/x/sync v0.25.0 // indirect

replace lockstep => ../..
