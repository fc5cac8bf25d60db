module lockstep

go 1.26.0

// Packages of npm may hold Go files.
ignore ./node_modules

require (
	github.com/a-h/templ v0.3.1118
	github.com/andybalholm/brotli v1.3.0
	github.com/coder/websocket v1.8.15
	go.etcd.io/bbolt v1.5.0
	go.uber.org/goleak v1.3.0
	golang.org/x/net v0.62.0
	golang.org/x/sync v0.25.0
	golang.org/x/time v0.16.0
)

require golang.org/x/sys v0.50.0 // indirect
