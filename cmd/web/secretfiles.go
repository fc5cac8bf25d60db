package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

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
