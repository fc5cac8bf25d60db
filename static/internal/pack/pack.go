// Package pack gives files the names and the form in which package static has them: a hash of the
// content in the name, and compressed with brotli. It does not make the files.
package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"

	"github.com/andybalholm/brotli"
)

// How hard Brotli works.
const (
	Best = brotli.BestCompression // for what is committed or published: 20 s for the program
	Fast = 5                      // for one machine: 0.3 s, and a fifth more bytes
)

// Suffix is what the name of a compressed file ends with.
const Suffix = ".br"

// hashLen is the number of hexadecimal digits in a name: 40 bits, so that two versions of a file
// meet by chance once in a million million.
const hashLen = 10

// Name turns "app.js" into "app.1a2b3c4d5e.js".
func Name(name string, body []byte) string {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:])[:hashLen] + ext
}

// Brotli compresses. The same body and quality give the same bytes.
func Brotli(body []byte, quality int) ([]byte, error) {
	var b bytes.Buffer
	w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: quality, LGWin: 24})
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}
