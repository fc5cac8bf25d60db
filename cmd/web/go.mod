module lockstep/cmd/web

go 1.26.0

require (
	lockstep v0.0.0
	lockstep/app/web v0.0.0
	lockstep/backends v0.0.0
	lockstep/internal/redisclient v0.0.0
	lockstep/pubsub/snssqspubsub v0.0.0
	lockstep/serve v0.0.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/gofrs/flock v0.13.2 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nats-server/v2 v2.15.2 // indirect
)

require (
	github.com/a-h/templ v0.3.1118 // indirect
	github.com/alecthomas/chroma/v2 v2.27.0 // indirect
	github.com/andybalholm/brotli v1.3.0 // indirect
	github.com/aws/aws-sdk-go-v2 v1.48.0 // indirect
	github.com/aws/aws-sdk-go-v2/config v1.33.18 // indirect
	github.com/aws/aws-sdk-go-v2/credentials v1.21.0 // indirect
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.20.9 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.5.12 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.8.12 // indirect
	github.com/aws/aws-sdk-go-v2/internal/v4a v1.5.12 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.25 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/presigned-url v1.14.12 // indirect
	github.com/aws/aws-sdk-go-v2/service/signin v1.13.1 // indirect
	github.com/aws/aws-sdk-go-v2/service/sns v1.48.0 // indirect
	github.com/aws/aws-sdk-go-v2/service/sqs v1.53.0 // indirect
	github.com/aws/aws-sdk-go-v2/service/sso v1.39.5 // indirect
	github.com/aws/aws-sdk-go-v2/service/ssooidc v1.44.5 // indirect
	github.com/aws/aws-sdk-go-v2/service/sts v1.52.0 // indirect
	github.com/aws/smithy-go v1.28.9 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/dlclark/regexp2/v2 v2.2.1 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.13.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/labstack/echo/v4 v4.16.4 // indirect
	github.com/labstack/gommon v0.5.0 // indirect
	github.com/mattn/go-colorable v0.1.16 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/pandatix/go-abnf v0.5.5 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.74.0 // indirect
	github.com/prometheus/procfs v0.23.0 // indirect
	github.com/rabbitmq/amqp091-go v1.16.0 // indirect
	github.com/redis/go-redis/v9 v9.23.0 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasttemplate v1.2.2 // indirect
	github.com/yuin/goldmark v1.8.7 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.44.0 // indirect
	golang.org/x/time v0.16.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	lockstep/components v0.0.0 // indirect
	lockstep/docs v0.0.0 // indirect
	lockstep/internal/natsclient v0.0.0 // indirect
	lockstep/internal/pgclient v0.0.0 // indirect
	lockstep/natsembedded v0.0.0
	lockstep/pubsub/natspubsub v0.0.0 // indirect
	lockstep/pubsub/pgpubsub v0.0.0 // indirect
	lockstep/pubsub/rabbitpubsub v0.0.0 // indirect
	lockstep/pubsub/redispubsub v0.0.0 // indirect
	lockstep/state/natsstate v0.0.0
	lockstep/state/pgstate v0.0.0 // indirect
	lockstep/state/redisstate v0.0.0 // indirect
	rsc.io/qr v0.2.0 // indirect
)

replace (
	lockstep => ../..
	lockstep/app/web => ../../app/web
	lockstep/backends => ../../backends
	lockstep/components => ../../components
	lockstep/docs => ../../docs
	lockstep/internal/natsclient => ../../internal/natsclient
	lockstep/internal/pgclient => ../../internal/pgclient
	lockstep/internal/redisclient => ../../internal/redisclient
	lockstep/natsembedded => ../../natsembedded
	lockstep/pubsub/natspubsub => ../../pubsub/natspubsub
	lockstep/pubsub/pgpubsub => ../../pubsub/pgpubsub
	lockstep/pubsub/rabbitpubsub => ../../pubsub/rabbitpubsub
	lockstep/pubsub/redispubsub => ../../pubsub/redispubsub
	lockstep/pubsub/snssqspubsub => ../../pubsub/snssqspubsub
	lockstep/serve => ../../serve
	lockstep/state/natsstate => ../../state/natsstate
	lockstep/state/pgstate => ../../state/pgstate
	lockstep/state/redisstate => ../../state/redisstate
)
