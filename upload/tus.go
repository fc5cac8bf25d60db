package upload

import (
	"crypto/sha1" //nolint:gosec // the protocol names it; it finds accidents, not attacks
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	version        = "1.0.0"
	extensions     = "creation,checksum,expiration,termination"
	checksums      = "sha1,sha256"
	statusChecksum = 460 // Checksum Mismatch, of tus
	pieceType      = "application/offset+octet-stream"
)

// describe answers OPTIONS.
func (h *Handler) describe(w http.ResponseWriter, _ *http.Request) error {
	head := w.Header()
	head.Set("Tus-Version", version)
	head.Set("Tus-Extension", extensions)
	head.Set("Tus-Checksum-Algorithm", checksums)
	head.Set("Tus-Max-Size", strconv.FormatInt(h.opts.MaxSize, 10))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// spoken refuses a client of another version.
func spoken(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Tus-Resumable") == version {
		return nil
	}
	w.Header().Set("Tus-Version", version)
	return problem(http.StatusPreconditionFailed, "This server speaks tus "+version+".")
}

// create begins an upload.
func (h *Handler) create(w http.ResponseWriter, r *http.Request) error {
	if err := spoken(w, r); err != nil {
		return err
	}
	size, err := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
	switch {
	case err != nil || size < 0:
		return problem(http.StatusBadRequest, "The length of the file is not said.")
	case size > h.opts.MaxSize:
		return problem(http.StatusRequestEntityTooLarge, "The file is too large: "+inBytes(h.opts.MaxSize)+" at most.")
	}
	name, err := fileName(r.Header.Get("Upload-Metadata"))
	if err != nil {
		return err
	}
	if h.opts.Admit != nil {
		if wait, ok := h.opts.Admit(r); !ok {
			return &problemError{http.StatusTooManyRequests, "There were too many files from your network. Try again later.", wait}
		}
	}
	f := File{ID: newID(), Size: size, Name: name}
	if err := h.folder.create(f); err != nil {
		return err
	}
	h.expires(w)
	w.Header().Set("Location", f.ID) // below this address
	w.WriteHeader(http.StatusCreated)
	return nil
}

// expires says until when a client may go on.
func (h *Handler) expires(w http.ResponseWriter) {
	w.Header().Set("Upload-Expires", h.opts.Clock().Add(h.opts.Expire).UTC().Format(http.TimeFormat))
}

// ask answers how far an upload is. One that is complete and could not be handed on is, now.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request) error {
	if err := spoken(w, r); err != nil {
		return err
	}
	id, err := idOf(r)
	if err != nil {
		return err
	}
	u, err := h.folder.look(id)
	if err == nil && !u.done && u.offset == u.Size {
		u, err = h.take(r, id, u.offset, nil)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Upload-Length", strconv.FormatInt(u.Size, 10))
	h.say(w, u)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) say(w http.ResponseWriter, u status) {
	w.Header().Set("Upload-Offset", strconv.FormatInt(u.offset, 10))
	if !u.done {
		h.expires(w)
	}
}

// add takes a piece.
func (h *Handler) add(w http.ResponseWriter, r *http.Request) error {
	if err := spoken(w, r); err != nil {
		return err
	}
	id, err := idOf(r)
	if err != nil {
		return err
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != pieceType {
		return problem(http.StatusUnsupportedMediaType, "A piece is "+pieceType+".")
	}
	offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 {
		return problem(http.StatusBadRequest, "Where the piece belongs is not said.")
	}
	sum, err := checksumOf(r.Header.Get("Upload-Checksum"))
	if err != nil {
		return err
	}
	// Where there is no such deadline, the server's own holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.opts.PieceTimeout))
	u, err := h.take(r, id, offset, sum)
	if u.known {
		h.say(w, u)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// take takes a piece, and hands a file on that is complete by it.
func (h *Handler) take(r *http.Request, id string, offset int64, sum *checksum) (status, error) {
	body := r.Body
	if r.Method == http.MethodHead {
		body = http.NoBody
	}
	return h.folder.add(r.Context(), id, piece{at: offset, body: body, sum: sum})
}

// A checksum is what a piece must come to.
type checksum struct {
	hash.Hash
	want []byte
}

func (c *checksum) matches() bool { return slices.Equal(c.Sum(nil), c.want) }

// checksumOf reads what a client says of a piece; nil: nothing.
func checksumOf(text string) (*checksum, error) {
	if text == "" {
		return nil, nil
	}
	algorithm, value, _ := strings.Cut(text, " ")
	want, err := base64.StdEncoding.DecodeString(value)
	made := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New}[algorithm]
	if err != nil || made == nil {
		return nil, problem(http.StatusBadRequest, "The checksum of the piece can't be read: "+checksums+" are known.")
	}
	return &checksum{made(), want}, nil
}

// end removes an upload.
func (h *Handler) end(w http.ResponseWriter, r *http.Request) error {
	if err := spoken(w, r); err != nil {
		return err
	}
	id, err := idOf(r)
	if err != nil {
		return err
	}
	if err := h.folder.end(id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// show serves a complete file as what its content looks like: a type that was allowed, and else a
// download. It can do nothing, whatever it has in it.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	file, info, err := h.folder.open(id)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	head := w.Header()
	head.Del("Tus-Resumable")
	disposition := "attachment"
	if slices.Contains(h.opts.Types, info.Type) {
		disposition = "inline"
	}
	head.Set("Content-Type", info.Type)
	head.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": info.Name}))
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	head.Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, file)
	return nil
}

// inBytes is a number of bytes for people.
func inBytes(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if n >= unit.size {
			return strconv.FormatInt(n/unit.size, 10) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
