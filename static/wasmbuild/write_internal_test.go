package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/static/internal/pack"
)

// namesIn are the files of a folder, in order.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func mustWrite(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := write(dir, files, pack.Fast); err != nil {
		t.Fatal(err)
	}
}

// TestAFolderHasTheNewestProgramOnly: a build embeds all that is there.
func TestAFolderHasTheNewestProgramOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some", "where")
	mustWrite(t, dir, map[string][]byte{"a.1.wasm": []byte("one"), "b.1.js": []byte("same")})
	mustWrite(t, dir, map[string][]byte{"a.2.wasm": []byte("two"), "b.1.js": []byte("same")})
	if got := namesIn(t, dir); !slices.Equal(got, []string{"a.2.wasm.br", "b.1.js.br", "overlay.json"}) {
		t.Errorf("got %v", got)
	}
}

// TestAFileThatIsThereIsNotCompressedAgain: that takes 18 s of a program.
func TestAFileThatIsThereIsNotCompressedAgain(t *testing.T) {
	dir, files := t.TempDir(), map[string][]byte{"a.1.wasm": []byte("one")}
	there := filepath.Join(dir, "a.1.wasm.br")
	if err := os.WriteFile(there, []byte("compressed before"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, dir, files)
	if got, err := os.ReadFile(there); err != nil || string(got) != "compressed before" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestTheOverlayPutsTheFilesWhereTheyAreEmbedded, by paths that hold in any folder.
func TestTheOverlayPutsTheFilesWhereTheyAreEmbedded(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string][]byte{"a.1.wasm": []byte("one")})
	text, err := os.ReadFile(filepath.Join(dir, "overlay.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Replace map[string]string }
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&got); err != nil {
		t.Fatal(err)
	}
	at, err := filepath.Abs(filepath.Join("program", "a.1.wasm.br"))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{at: filepath.Join(dir, "a.1.wasm.br")}; !maps.Equal(got.Replace, want) {
		t.Errorf("got %v, want %v", got.Replace, want)
	}
}
