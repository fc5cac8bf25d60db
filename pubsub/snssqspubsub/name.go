package snssqspubsub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	defaultName = "lockstep"
	// maxName is the longest name, in bytes: a queue's is 80 at most, and has the rest behind it.
	maxName = 40
	// infix is between an installation's name and what is random in the name of a queue.
	infix = "-replica-"
	// randomLetters is how many letters and digits are random: see rand.Text.
	randomLetters = 26
)

// nameOf returns what an installation is called at AWS, where names have letters,
// digits, hyphens and underscores. A colon at the end is left out, so that the prefix
// lockstep: is lockstep. Of what else does not fit a hash takes the place, so that
// different names stay different.
func nameOf(text string) string {
	bare := strings.TrimSuffix(text, ":")
	if bare == "" {
		bare = defaultName
	}
	plain := strings.Map(func(r rune) rune {
		if inName(r) {
			return r
		}
		return '-'
	}, bare)
	if plain == bare && len(plain) <= maxName {
		return plain
	}
	hash := sha256.Sum256([]byte(text))
	tail := "-" + hex.EncodeToString(hash[:5])
	return plain[:min(len(plain), maxName-len(tail))] + tail
}

// inName reports whether AWS takes a character in names of topics and queues.
func inName(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// newQueueName returns the name of a new queue.
func newQueueName(name string) string { return name + infix + rand.Text() }

// isQueueName reports whether a queue is one that newQueueName has named, for this
// installation: another one's name may begin with this one's.
func isQueueName(name, queue string) bool {
	random, found := strings.CutPrefix(queue, name+infix)
	if !found || len(random) != randomLetters {
		return false
	}
	return strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// lastOf returns what is behind the last of a separator: the name in an ARN or a URL.
func lastOf(text, separator string) string {
	return text[strings.LastIndex(text, separator)+1:]
}
