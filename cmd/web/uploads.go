package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"lockstep/backends"
	"lockstep/upload"
)

// What the demo takes of files: pictures for its sign-ups.
const (
	maxUpload  = 5 << 20             // bytes; the page says so
	maxUploads = 1 << 30             // bytes in all
	keepUpload = 30 * 24 * time.Hour // since somebody has last looked at one
)

// noUploads is the folder that takes no files.
const noUploads = "none"

// uploadFolder is where files go; "": nowhere.
func (b *backendFlags) uploadFolder() string {
	switch {
	case b.Uploads == noUploads:
		return ""
	case b.Uploads != "":
		return b.Uploads
	case backends.File(b.Store) != "":
		return filepath.Join(filepath.Dir(backends.File(b.Store)), "uploads")
	}
	return ""
}

// openUploads opens the folder of -uploads. Nil without an error: no files are taken.
func (b *backendFlags) openUploads(log *slog.Logger) (http.Handler, error) {
	dir := b.uploadFolder()
	if dir == "" {
		return nil, nil
	}
	h, err := upload.New(dir, &upload.Options{
		Logger: log, MaxSize: maxUpload, MaxTotal: maxUploads, Keep: keepUpload,
		Types: []string{"image/png", "image/jpeg", "image/gif", "image/webp"},
	})
	if err != nil {
		return nil, fmt.Errorf("-uploads: %w", err)
	}
	return h, nil
}
