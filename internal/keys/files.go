package keys

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecretFile is more than any secret needs, in bytes: a file that is larger
// is another one.
const maxSecretFile = 64 << 10

// WithFiles returns an environment in which variables with these names may be set by a file, whose
// path is in the variable of the same name with _FILE behind it: so that a secret is neither in the
// environment nor on a command line. Its errors name files and variables only. getenv is os.Getenv.
func WithFiles(getenv func(string) string, names ...string) (func(string) string, error) {
	found := map[string]string{}
	for _, name := range names {
		path := getenv(name + "_FILE")
		if path == "" {
			continue
		}
		if getenv(name) != "" {
			return nil, fmt.Errorf("%s and %s_FILE are both set; one must go", name, name)
		}
		text, err := readSecretFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
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
