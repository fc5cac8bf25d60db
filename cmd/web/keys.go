package main

import (
	"fmt"

	"lockstep/backends"
	"lockstep/internal/keys"
	"lockstep/precondition"
	"lockstep/serve/settings"
)

// keyFlags are the keys that sign cookies, forms, and what replicas say to each other.
type keyFlags struct {
	Secret   string // keys, one in each line
	Insecure bool   // do without on a shared broker
	Unsigned bool   // say it without signatures
	OpsToken string // lets in at /ops

	keys [][]byte // of Secret, once they are checked
}

func (k *keyFlags) define(fs *settings.Set) {
	fs.Group("Keys")
	fs.Text(&k.Secret, "secret", "", fmt.Sprintf("`keys` that sign cookies, forms, and what replicas say to each other, one in each line, at least %d bytes each: the first signs, all are believed, so that they can be replaced one after the other. Equal on all replicas. Needed with a shared broker; better given by SECRET_FILE or the environment than by a flag, which all users of the machine can read", keys.Min))
	fs.Text(&k.OpsToken, "ops-token", "", fmt.Sprintf("`token` for the page of the replicas at /ops, %d bytes at least: the password, with any name. Equal on all replicas; better given by OPS_TOKEN_FILE or the environment than by a flag. Default: the page is for this machine alone", minOpsToken))
	fs.Add("insecure-dev")
	fs.BoolVar(&k.Insecure, "insecure-dev", false, "do without -secret on a shared broker: for development only")
	fs.Add("unsigned-broadcasts")
	fs.BoolVar(&k.Unsigned, "unsigned-broadcasts", false, "send what replicas say to each other without signatures, which older replicas do not know: for the first of two rolling restarts, see docs/operations.md")
}

// minOpsToken is how many bytes a token must have, so that nobody guesses it.
const minOpsToken = 16

// check reads the keys: replicas that share a broker need them.
func (k *keyFlags) check(broker string) (err error) {
	if k.keys, err = keys.Parse(k.Secret); err != nil {
		return settings.Wrong("-secret: %s", err)
	}
	if len(k.keys) == 0 && backends.Shared(broker) && !k.Insecure {
		return settings.Wrong("-secret: needed with a shared broker, the same on all replicas (%d bytes or more), or -insecure-dev for development", keys.Min)
	}
	if k.OpsToken != "" && len(k.OpsToken) < minOpsToken {
		return settings.Wrong("-ops-token: shorter than %d bytes", minOpsToken)
	}
	return nil
}

// open returns the keys that sign cookies and forms: where none were given, those that befit the
// backends.
func (k *keyFlags) open(b *backendFlags) ([][]byte, error) {
	switch {
	case len(k.keys) > 0:
		return k.keys, nil
	case backends.Shared(b.PubSub): // -insecure-dev: known to all replicas, and to everybody
		return [][]byte{k.insecure(b)}, nil
	case backends.File(b.Store) != "":
		key, err := keys.Kept(backends.File(b.Store))
		if err != nil {
			return nil, fmt.Errorf("-secret: %w", err)
		}
		return [][]byte{key}, nil
	}
	return [][]byte{keys.Fresh()}, nil
}

// insecure is the key of -insecure-dev.
func (k *keyFlags) insecure(b *backendFlags) []byte {
	return []byte("insecure development key of " + b.Prefix)
}

// unmet is what the keys should be and are not.
func (k *keyFlags) unmet(b *backendFlags) (all []precondition.Unmet) {
	switch {
	case len(k.keys) > 0:
	case backends.Shared(b.PubSub):
		all = append(all, precondition.Unmet{Name: "secret_public",
			Text: "-insecure-dev: the keys are known to everybody, who can make cookies, forms and what replicas say; set -secret"})
	case backends.Shared(b.Store):
		all = append(all, precondition.Unmet{Name: "secret_kept",
			Text: "there is no -secret, and the store is shared: sessions end with this process, and another replica refuses its pages; set -secret"})
	}
	if k.Unsigned && backends.Shared(b.PubSub) {
		all = append(all, precondition.Unmet{Name: "broadcasts_signed",
			Text: "-unsigned-broadcasts: others show what this replica says later, by the store, and don't count its tabs; when all replicas know signatures, leave it away"})
	}
	return all
}
