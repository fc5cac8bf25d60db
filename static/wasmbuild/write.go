package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"lockstep/static/internal/pack"
)

// write has the files in a folder, compressed, and no others of their kind. To compress takes long,
// so a file that is there already stays: its name says that it is the same.
func write(dir string, files map[string][]byte, quality int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, body := range files {
		if err := writeFile(filepath.Join(dir, name+pack.Suffix), body, quality); err != nil {
			return err
		}
	}
	if err := removeOthers(dir, files); err != nil || dir == embedded {
		return err
	}
	return writeOverlay(dir, files)
}

// writeFile writes a compressed file as a whole or not at all, unless it is there.
func writeFile(path string, body []byte, quality int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	packed, err := pack.Brotli(body, quality)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it has another name now, or is of no use
	_, err = f.Write(packed)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// removeOthers removes compressed files of older builds.
func removeOthers(dir string, files map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(dir, "*"+pack.Suffix))
	if err != nil {
		return err
	}
	for _, path := range old {
		if files[strings.TrimSuffix(filepath.Base(path), pack.Suffix)] != nil {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// writeOverlay tells go build that the files stand for those in the folder that is embedded.
func writeOverlay(dir string, files map[string][]byte) error {
	replace := make(map[string]string)
	for name := range files {
		at, err := filepath.Abs(filepath.Join(embedded, name+pack.Suffix))
		if err != nil {
			return err
		}
		if replace[at], err = filepath.Abs(filepath.Join(dir, name+pack.Suffix)); err != nil {
			return err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o644)
}
