package natsclient

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxSubject = 255 // bytes of a subject: what NATS advises, and far below a server's limit of a line
	maxTokens  = 16  // of a subject: what NATS advises
	maxRoot    = 120 // bytes of a root: a stream's name is a folder's, too
	maxToken   = 200 // bytes of a token that is not a part of a topic
)

// Subject returns the subject of a topic; different topics have different ones.
//
// The parts between colons become the tokens of the subject, so that
// lockstep:counter:lobby is lockstep.counter.lobby, and a server can give rights
// for lockstep.>. What has a meaning in subjects, or can't be shown, is written
// as %2E; a part with nothing in it is a % alone. Of what would be too long the
// first tokens are kept; the last one is %~ and a hash of all.
func Subject(topic string) string {
	tokens := tokensOf(topic)
	s := strings.Join(tokens, ".")
	if len(s) <= maxSubject && len(tokens) <= maxTokens {
		return s
	}
	return shorten(tokens, topic)
}

// tokensOf returns the tokens of a topic.
func tokensOf(topic string) []string {
	tokens := strings.Split(topic, ":")
	for i, t := range tokens {
		tokens[i] = token(t)
	}
	// Subjects that begin with $ or _ are the servers' own.
	if strings.HasPrefix(tokens[0], "_") {
		tokens[0] = "%5F" + tokens[0][1:]
	}
	return tokens
}

// Root returns the subject below which everything else of an application is kept
// whose topics all begin with prefix: no topic has a subject there, and no other
// prefix has this root. For lockstep: it is lockstep.%state, so that a right for
// lockstep.> is one for it, too.
func Root(prefix string) string {
	tokens := tokensOf(prefix)
	last := len(tokens) - 1
	if tokens[last] == "%" { // nothing is behind the colon
		tokens[last] = ""
	}
	tokens[last] += "%state" // which is no escape of anything
	s := strings.Join(tokens, ".")
	if len(s) <= maxRoot {
		return s
	}
	hash := sha256.Sum256([]byte(prefix))
	return "%~" + hex.EncodeToString(hash[:]) + "%state"
}

// Token returns one token for a text, of 200 bytes at most. Different texts have
// different ones.
func Token(text string) string {
	if s := token(text); len(s) <= maxToken {
		return s
	}
	hash := sha256.Sum256([]byte(text))
	return "%~" + hex.EncodeToString(hash[:])
}

// Name returns the name of a stream for what is below a root: of letters, digits,
// dashes and underscores, since it becomes the name of a folder. For lockstep.%state
// it is lockstep-state.
func Name(root string) string {
	root = strings.TrimSuffix(root, "%state") // as all roots end
	var b strings.Builder
	for i := range len(root) {
		switch c := root[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
			b.WriteByte(c)
		case c == '.':
			b.WriteByte('-')
		default:
			escape(&b, root[i:i+1])
		}
	}
	// A percent sign would do, but not in every shell.
	return strings.ReplaceAll(b.String(), "%", "_") + "state"
}

// shorten returns the first of a subject's tokens, as many as there is room for,
// and a hash.
func shorten(tokens []string, topic string) string {
	hash := sha256.Sum256([]byte(topic))
	last := "%~" + hex.EncodeToString(hash[:])
	room := maxSubject - len(last)
	kept := 0
	for kept < min(len(tokens), maxTokens-1) && room > len(tokens[kept]) {
		room -= len(tokens[kept]) + len(".")
		kept++
	}
	return strings.Join(append(tokens[:kept:kept], last), ".")
}

// token escapes one part of a topic.
func token(part string) string {
	if part == "" {
		return "%"
	}
	var b strings.Builder
	for i := 0; i < len(part); {
		r, n := utf8.DecodeRuneInString(part[i:])
		if plain(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(part[i : i+n])
		} else {
			escape(&b, part[i:i+n])
		}
		i += n
	}
	return b.String()
}

// plain reports whether a character has no meaning in a subject, in what servers
// say of one, or to us.
func plain(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !strings.ContainsRune("%.*>$\"'\\", r)
}

func escape(b *strings.Builder, bytes string) {
	const digits = "0123456789ABCDEF"
	for i := range len(bytes) {
		b.WriteByte('%')
		b.WriteByte(digits[bytes[i]>>4])
		b.WriteByte(digits[bytes[i]&15])
	}
}
