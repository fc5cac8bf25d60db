package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A login is the headers that go with every request to the target, for pages that not everybody may
// see. No error says what is in them.
type login struct{ lines http.Header }

// maxLogin is more than a server takes of headers, in bytes: a file that is larger is another one.
const maxLogin = 64 << 10

// hidden stands in reports for what they must not say.
const hidden = "***"

// header adds a line "Name: value", or those of "@file".
func (l *login) header(line string) error {
	if name, ok := strings.CutPrefix(line, "@"); ok {
		return eachLine(name, l.header)
	}
	name, value, ok := strings.Cut(line, ":")
	name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch {
	case !ok:
		return errors.New("it has no colon: a header is 'Name: value', or @file")
	case !isToken(name):
		return errors.New("what is before the colon is not the name of a header")
	case !isValue(value):
		return fmt.Errorf("the value of %s has a character that no header may have", name)
	case ofHandshake(name):
		return fmt.Errorf("%s is the generator's own", name)
	case name == "Cookie":
		return l.cookie(value)
	}
	l.add(name, value)
	return nil
}

// isToken reports whether a word can be the name of a header or a cookie (RFC 9110 §5.6.2).
func isToken(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isValue reports whether a header can have a value: one without control characters.
func isValue(word string) bool {
	return !strings.ContainsFunc(word, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// ofHandshake reports whether a header belongs to how a connection is made.
func ofHandshake(name string) bool {
	switch name {
	case "Connection", "Upgrade", "Content-Length", "Transfer-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Sec-Websocket-")
}

// cookie adds "name=value", several with a semicolon between them, or those of "@file".
func (l *login) cookie(line string) error {
	if name, ok := strings.CutPrefix(line, "@"); ok {
		return eachLine(name, l.cookie)
	}
	for part := range strings.SplitSeq(line, ";") {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if !ok || !isToken(name) || !isValue(value) {
			return errors.New("a cookie is name=value, several have ; between them, or @file")
		}
		l.add("Cookie", part)
	}
	return nil
}

func (l *login) add(name, value string) {
	if l.lines == nil {
		l.lines = make(http.Header)
	}
	l.lines.Add(name, value)
}

// eachLine calls f with each line of a file that is not empty.
func eachLine(name string, f func(string) error) error {
	file, err := os.Open(name) //nolint:gosec // the file that a flag names
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxLogin+1))
	if err != nil {
		return err
	}
	if len(text) > maxLogin {
		return fmt.Errorf("%s has more than %d bytes", name, maxLogin)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "@") {
			return fmt.Errorf("%s: line %d names another file", name, n)
		}
		if err := f(line); err != nil {
			return fmt.Errorf("%s: line %d: %w", name, n, err)
		}
	}
	return nil
}

// secretFlag is the name of the flag that a word is, if that is one with a secret. value is what
// stands behind = in the same word.
func secretFlag(word string) (name, value string, inWord, ok bool) {
	rest, dash := strings.CutPrefix(word, "-")
	name, value, inWord = strings.Cut(strings.TrimPrefix(rest, "-"), "=")
	return name, value, inWord, dash && (name == "header" || name == "cookie")
}

// withoutSecrets returns the arguments with what nobody else may know left out of headers, cookies
// and URLs. What names a file stays.
func withoutSecrets(args []string) []string {
	var all []string
	next := "" // the flag that the next word is the value of
	for _, a := range args {
		name, value, inWord, secret := secretFlag(a)
		switch {
		case next != "":
			a, next = withoutSecret(next, a), ""
		case secret && inWord:
			a = "-" + name + "=" + withoutSecret(name, value)
		case secret:
			next = name
		default:
			a = withoutPassword(a)
		}
		all = append(all, a)
	}
	return all
}

func withoutSecret(flag, value string) string {
	separator := map[string]string{"header": ":", "cookie": "="}[flag]
	name, _, ok := strings.Cut(value, separator)
	switch {
	case strings.HasPrefix(value, "@"):
		return value
	case !ok:
		return hidden
	case flag == "header":
		return name + ": " + hidden
	}
	return name + "=" + hidden
}

// withoutPassword is a word with the password of a URL left out, if it is one with any.
func withoutPassword(word string) string {
	u, err := url.Parse(word)
	if err != nil || u.User == nil {
		return word
	}
	return u.Redacted()
}

// withoutLogin returns the arguments without the flags of a login: workers are told by their
// parent, so that no list of processes has it, and a pipe is read once.
func withoutLogin(args []string) []string {
	var all []string
	skip := false
	for _, a := range args {
		_, _, inWord, secret := secretFlag(a)
		switch {
		case skip:
			skip = false
		case secret:
			skip = !inWord
		default:
			all = append(all, a)
		}
	}
	return all
}
