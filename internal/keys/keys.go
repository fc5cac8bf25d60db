// Package keys reads and makes the keys that sign what must not be forged: cookies, forms, the
// addresses of sockets, and what replicas say to each other. It knows neither who signs nor how.
package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// Variable is the environment variable with the keys of programs that have no flag for them.
	Variable = "LOCKSTEP_SECRET"
	// Min is how long a key must be, in bytes.
	Min = 32
)

// Parse returns the keys of a text, one in each line: the first signs, all are believed, so that
// they can be replaced one after the other. A text without any is no keys. The error names a key by
// its number, and says nothing of what it is.
func Parse(text string) ([][]byte, error) {
	var keys [][]byte
	for line := range strings.Lines(text) {
		key := strings.TrimSpace(line)
		if key == "" {
			continue
		}
		if len(key) < Min {
			return nil, fmt.Errorf("key %d has %d bytes, at least %d are needed", len(keys)+1, len(key), Min)
		}
		keys = append(keys, []byte(key))
	}
	return keys, nil
}

// FromEnvironment returns the keys of Variable, or of the file that WithFiles reads it from; none
// where neither is set. getenv is os.Getenv.
func FromEnvironment(getenv func(string) string) ([][]byte, error) {
	getenv, err := WithFiles(getenv, Variable)
	if err != nil {
		return nil, err
	}
	keys, err := Parse(getenv(Variable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	return keys, nil
}

// Fresh returns a key that nobody knows.
func Fresh() []byte {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return []byte(hex.EncodeToString(b[:]))
}

// Kept reads the key beside a store's file, or makes it, so that pages stay valid when the process
// restarts.
func Kept(store string) ([]byte, error) {
	path := store + ".secret"
	key, err := os.ReadFile(path)
	if err == nil && len(bytes.TrimSpace(key)) >= Min {
		return bytes.TrimSpace(key), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	key = Fresh()
	return key, os.WriteFile(path, key, 0o600)
}
