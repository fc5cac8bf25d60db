// Package progress is what wasmbuild tells a server that waits for the program for browsers: JSON
// messages on its standard output. It knows nothing of how the program is made.
package progress

// A Message is one line. All but the last have no Files.
type Message struct {
	Done, Total int               // packages; Total counts those that must be compiled
	Files       map[string][]byte // the program and its worker's script, as package static has them
}
