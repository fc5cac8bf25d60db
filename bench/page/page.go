// Package page writes docs/benchmarks.md, of which two programs write a part
// each, and people the end, and describes the machine in it.
package page

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// mark is the line between the two parts.
const mark = "<!-- Below is what make bench-stores writes. -->\n"

// people is the line above what no program writes.
const people = "<!-- Below is what people write. -->\n"

// WritePeers writes what is above the mark, and keeps what is below.
func WritePeers(path, text string) error {
	_, stores, err := read(path)
	if err != nil {
		return err
	}
	if stores != "" {
		text += "\n" + mark + stores
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// WriteStores writes what is below the mark, and keeps what is above, and the end
// that people have written.
func WriteStores(path, text string) error {
	peers, stores, err := read(path)
	if err != nil {
		return err
	}
	if _, end, ok := strings.Cut(stores, people); ok {
		text += "\n" + people + end
	}
	return os.WriteFile(path, []byte(strings.TrimRight(peers, "\n")+"\n\n"+mark+"\n"+text), 0o644)
}

// read returns the parts of a page; of one that is not there both are empty.
func read(path string) (peers, stores string, err error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	peers, stores, _ = strings.Cut(string(text), mark)
	return peers, stores, nil
}
