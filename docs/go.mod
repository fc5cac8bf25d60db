module lockstep/docs

go 1.26.0

require (
	github.com/a-h/templ v0.3.1118
	github.com/alecthomas/chroma/v2 v2.27.0
	github.com/andybalholm/brotli v1.3.0
	github.com/yuin/goldmark v1.8.7
	golang.org/x/net v0.62.0
	lockstep v0.0.0
	lockstep/components v0.0.0
)

require github.com/dlclark/regexp2/v2 v2.2.1 // indirect

replace lockstep => ..

replace lockstep/components => ../components
