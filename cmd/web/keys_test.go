package main

import (
	"bytes"
	"testing"
)

func TestTheKeptSecretStays(t *testing.T) {
	path := t.TempDir() + "/data/x.secret"
	first, err := keptSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keptSecret(path)
	if err != nil || !bytes.Equal(first, second) || len(first) < minSecret {
		t.Errorf("got %q and %q, %v", first, second, err)
	}
}
