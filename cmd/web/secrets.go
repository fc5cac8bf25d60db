package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// minSecret is how long a key must be, in bytes.
const minSecret = 32

// maxSecretFile is more than any secret needs, in bytes: a file that is larger
// is another one.
const maxSecretFile = 64 << 10

// secretVariables may be set by a file, whose path is in the variable of the
// same name with _FILE behind it: so that they are neither in the environment
// nor on a command line.
func secretVariables() []string {
	return []string{"SECRET", "PUBSUB_URL", "STORE_URL", "REDIS_URL", "DATABASE_URL", "NATS_URL"}
}

// withSecretFiles returns an environment in which secrets from files are
// variables like others. Its errors name files and variables only.
func withSecretFiles(getenv func(string) string) (func(string) string, error) {
	found := map[string]string{}
	for _, name := range secretVariables() {
		path := getenv(name + "_FILE")
		if path == "" {
			continue
		}
		if getenv(name) != "" {
			return nil, usageError("%s and %s_FILE are both set; one must go", name, name)
		}
		text, err := readSecretFile(path)
		if err != nil {
			return nil, usageError("%s_FILE: %s", name, err)
		}
		found[name] = text
	}
	return func(name string) string {
		if text, ok := found[name]; ok {
			return text
		}
		return getenv(name)
	}, nil
}

func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	text := strings.TrimSpace(string(raw))
	switch {
	case err != nil:
		return "", err
	case len(raw) > maxSecretFile:
		return "", fmt.Errorf("%s: more than %d bytes are no secret", path, maxSecretFile)
	case text == "":
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// parseKeys returns the keys of -secret, one in each line: the first signs, all
// are believed. It does not say what they are.
func parseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for line := range strings.Lines(text) {
		key := strings.TrimSpace(line)
		if key == "" {
			continue
		}
		if len(key) < minSecret {
			return nil, usageError("-secret: key %d has %d bytes, at least %d are needed", len(keys)+1, len(key), minSecret)
		}
		keys = append(keys, []byte(key))
	}
	return keys, nil
}

func (c *config) checkSecret() (err error) {
	if c.keys, err = parseKeys(c.Secret); err != nil {
		return err
	}
	if len(c.keys) == 0 && shared(c.PubSub) && !c.Insecure {
		return usageError("-secret: needed with a shared broker, the same on all replicas (%d bytes or more), or -insecure-dev for development", minSecret)
	}
	return nil
}

// signingKeys returns the keys that sign cookies and forms.
func signingKeys(c config) ([][]byte, error) {
	switch {
	case len(c.keys) > 0:
		return c.keys, nil
	case shared(c.PubSub): // -insecure-dev: known to all replicas, and to everybody
		return [][]byte{[]byte("insecure development key of " + c.Prefix)}, nil
	case schemeOf(c.Store) == "file:":
		key, err := keptSecret(filePath(c.Store) + ".secret")
		return [][]byte{key}, err
	}
	return [][]byte{freshSecret()}, nil
}

// keptSecret reads the key beside the store's file, or makes it, so that
// pages stay valid when the process restarts.
func keptSecret(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(bytes.TrimSpace(key)) >= minSecret {
		return bytes.TrimSpace(key), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	key = freshSecret()
	return key, os.WriteFile(path, key, 0o600)
}

func freshSecret() []byte {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return []byte(hex.EncodeToString(b[:]))
}
