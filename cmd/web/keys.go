package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/signedpubsub"
)

// minSecret is how long a key must be, in bytes.
const minSecret = 32

// keyFlags are the keys that sign cookies, forms, and what replicas say to each other.
type keyFlags struct {
	Secret   string // keys, one in each line
	Insecure bool   // do without on a shared broker
	Unsigned bool   // say it without signatures

	keys [][]byte // of Secret, once they are checked
}

func (k *keyFlags) define(fs *flagSet) {
	fs.group("Keys")
	fs.text(&k.Secret, "secret", "", fmt.Sprintf("`keys` that sign cookies, forms, and what replicas say to each other, one in each line, at least %d bytes each: the first signs, all are believed, so that they can be replaced one after the other. Equal on all replicas. Needed with a shared broker; better given by SECRET_FILE or the environment than by a flag, which all users of the machine can read", minSecret))
	fs.add("insecure-dev")
	fs.BoolVar(&k.Insecure, "insecure-dev", false, "do without -secret on a shared broker: for development only")
	fs.add("unsigned-broadcasts")
	fs.BoolVar(&k.Unsigned, "unsigned-broadcasts", false, "send what replicas say to each other without signatures, which older replicas do not know: for the first of two rolling restarts, see docs/operations.md")
}

// check reads the keys: replicas that share a broker need them.
func (k *keyFlags) check(broker string) (err error) {
	if k.keys, err = parseKeys(k.Secret); err != nil {
		return err
	}
	if len(k.keys) == 0 && shared(broker) && !k.Insecure {
		return usageError("-secret: needed with a shared broker, the same on all replicas (%d bytes or more), or -insecure-dev for development", minSecret)
	}
	return nil
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

// open returns the keys that sign cookies and forms: where none were given, those that befit the
// backends.
func (k *keyFlags) open(b *backendFlags) ([][]byte, error) {
	switch {
	case len(k.keys) > 0:
		return k.keys, nil
	case shared(b.PubSub): // -insecure-dev: known to all replicas, and to everybody
		return [][]byte{[]byte("insecure development key of " + b.Prefix)}, nil
	case schemeOf(b.Store) == "file:":
		key, err := keptSecret(filePath(b.Store) + ".secret")
		if err != nil {
			return nil, fmt.Errorf("-secret: %w", err)
		}
		return [][]byte{key}, nil
	}
	return [][]byte{freshSecret()}, nil
}

// unmet is what the keys should be and are not.
func (k *keyFlags) unmet(b *backendFlags) (all []precondition.Unmet) {
	switch {
	case len(k.keys) > 0:
	case shared(b.PubSub):
		all = append(all, precondition.Unmet{Name: "secret_public",
			Text: "-insecure-dev: the keys are known to everybody, who can make cookies, forms and what replicas say; set -secret"})
	case shared(b.Store):
		all = append(all, precondition.Unmet{Name: "secret_kept",
			Text: "there is no -secret, and the store is shared: sessions end with this process, and another replica refuses its pages; set -secret"})
	}
	if k.Unsigned && shared(b.PubSub) {
		all = append(all, precondition.Unmet{Name: "broadcasts_signed",
			Text: "-unsigned-broadcasts: others show what this replica says later, by the store, and don't count its tabs; when all replicas know signatures, leave it away"})
	}
	return all
}

// sign makes replicas sign what they say to each other on a broker that others may reach, and
// believe nothing else.
func (k *keyFlags) sign(d driver.Driver, b *backendFlags, keys [][]byte) (driver.Driver, error) {
	if !shared(b.PubSub) {
		return d, nil // it is in this process
	}
	return signedpubsub.NewDriver(d, keys, &signedpubsub.Options{Prefix: b.Prefix, Unsigned: k.Unsigned})
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
