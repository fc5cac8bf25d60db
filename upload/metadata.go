package upload

import (
	"encoding/base64"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMetadata bounds what a client says of a file, in bytes.
const maxMetadata = 4 << 10

// fileName returns what the metadata of a client call the file.
func fileName(metadata string) (string, error) {
	if len(metadata) > maxMetadata {
		return "", problem(http.StatusRequestHeaderFieldsTooLarge, "What is said of the file is too long.")
	}
	name := ""
	for pair := range strings.SplitSeq(metadata, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return "", problem(http.StatusBadRequest, "What is said of the file can't be read.")
		}
		if key == "filename" {
			name = string(raw)
		}
	}
	return safeName(name), nil
}

// maxFileName bounds a name, in bytes.
const maxFileName = 120

// safeName is a name as one element of a path on any system, without what is not printed.
func safeName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, ""), `\`, "/"))
	name = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || strings.ContainsRune(`/:*?"<>|`, c) {
			return -1
		}
		return c
	}, name)
	for len(name) > maxFileName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	if name = strings.Trim(name, ". "); name == "" {
		return "file"
	}
	return name
}
