package upload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// What an upload has in the folder, behind its id: what is said of it, and what has arrived; when
// it is complete, the latter under another name, or with a sink no more.
const (
	infoExt = ".json"
	partExt = ".part"
	fileExt = ".file"
)

// sniffed is how much of a file its type is told by, in bytes.
const sniffed = 512

const (
	scanPause  = 2 * time.Second // between two looks at what other processes have begun
	sweepPause = time.Minute     // between two looks for what has expired
	touchPause = time.Hour       // between two notes that a file was asked for
	restMin    = time.Minute     // then what is not complete gives way, when there is no room
	clearPause = 2 * time.Second // between two looks for what gives way, if there is too little
)

// A folder has the uploads. Several processes may share one: what a file has come to is its length
// on the disk, and who adds to it holds a lock.
type folder struct {
	dir  string
	opts *Options
	// write copies a piece to the disk. It is io.Copy, but in tests.
	write func(to io.Writer, from io.Reader) (int64, error)

	mu             sync.Mutex          // guards the rest
	sizes          map[string]int64    // of all uploads that are known here, when they are complete
	busy           map[string]struct{} // those to which this process is adding
	unfinished     int                 // at the last scan
	scanned, swept time.Time
	cleared        time.Time // when nothing more could give way
}

// A status is how far an upload is.
type status struct {
	File
	offset int64
	done   bool
	known  bool // the rest was read
}

// An info is what the folder knows of an upload beside its content.
type info struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Type string `json:"type,omitempty"` // "": too little has arrived to tell
	Gone bool   `json:"gone,omitempty"` // complete, and with the sink
}

// A piece is what one request brings.
type piece struct {
	at   int64
	body io.Reader
	sum  *checksum // nil: nothing is said of it
}

func openFolder(dir string, opts *Options) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	return &folder{dir: dir, opts: opts, write: io.Copy, sizes: make(map[string]int64), busy: make(map[string]struct{})}, nil
}

func (f *folder) path(id, ext string) string { return filepath.Join(f.dir, id+ext) }

// create makes room for a file.
func (f *folder) create(of File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.scan(); err != nil {
		return err
	}
	if !f.fits(of.Size) && !f.makeRoom(of.Size) {
		return errNoRoom
	}
	part, err := os.OpenFile(f.path(of.ID, partExt), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if err := errors.Join(part.Close(), f.save(of.ID, info{Name: of.Name, Size: of.Size})); err != nil {
		_ = os.Remove(part.Name()) // the error is said
		return err
	}
	f.sizes[of.ID] = of.Size
	return nil
}

// fits reports whether there is room for one more file. The caller holds mu.
func (f *folder) fits(size int64) bool {
	for _, other := range f.sizes {
		size += other
	}
	return size <= f.opts.MaxTotal && len(f.sizes) < f.opts.MaxFiles
}

// makeRoom removes what is not complete and rests, that which has rested longest first, until there
// is room for a file: to begin is cheap, and whoever begins very many must not keep others out. It
// reports whether there is. The caller holds mu.
func (f *folder) makeRoom(size int64) bool {
	now := f.opts.Clock()
	if now.Sub(f.cleared) < clearPause {
		return false
	}
	type resting struct {
		id    string
		since time.Time
	}
	var all []resting
	for id := range f.sizes {
		at, err := os.Stat(f.path(id, partExt))
		if _, busy := f.busy[id]; err == nil && !busy && now.Sub(at.ModTime()) >= restMin {
			all = append(all, resting{id, at.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b resting) int { return a.since.Compare(b.since) })
	for _, r := range all {
		f.remove(r.id)
		if delete(f.sizes, r.id); f.fits(size) {
			return true
		}
	}
	f.cleared = now // there is nothing more to find for a while
	return false
}

// save writes an info, whole or not at all.
func (f *folder) save(id string, i info) error {
	raw, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	temporary := f.path(id, infoExt+".new")
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if err := os.Rename(temporary, f.path(id, infoExt)); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}

// load reads an info. The error is errUnknown where there is none, or a damaged one.
func (f *folder) load(id string) (i info, err error) {
	raw, err := os.ReadFile(f.path(id, infoExt))
	if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(raw, &i) != nil {
		return i, errUnknown
	}
	if err != nil {
		return i, fmt.Errorf("upload: %w", err)
	}
	return i, nil
}

// look says how far an upload is.
func (f *folder) look(id string) (status, error) {
	i, err := f.load(id)
	if err != nil {
		return status{}, err
	}
	u := status{File: File{ID: id, Size: i.Size, Name: i.Name, Type: i.Type}, known: true}
	part, err := os.Stat(f.path(id, partExt))
	switch {
	case err == nil:
		u.offset = part.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return u, fmt.Errorf("upload: %w", err)
	case i.Gone || f.has(id, fileExt):
		u.offset, u.done = i.Size, true
	default:
		return status{}, errUnknown
	}
	return u, nil
}

func (f *folder) has(id, ext string) bool {
	_, err := os.Stat(f.path(id, ext))
	return err == nil
}

// add adds a piece to an upload, and finishes one that is complete by it. Whatever the error is,
// what the status says has arrived is there to stay.
func (f *folder) add(ctx context.Context, id string, p piece) (status, error) {
	release, err := f.hold(id)
	if err != nil {
		return status{}, err
	}
	defer release()
	part, err := os.OpenFile(f.path(id, partExt), os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return f.over(id, p.at)
	}
	if err != nil {
		return status{}, fmt.Errorf("upload: %w", err)
	}
	u, err := f.addTo(ctx, id, part, p)
	return u, errors.Join(err, part.Close())
}

// over is the answer to a piece of an upload that takes no more.
func (f *folder) over(id string, at int64) (status, error) {
	u, err := f.look(id)
	if err == nil && u.offset != at {
		err = errElsewhere
	}
	return u, err
}

// addTo is add to what has arrived before.
func (f *folder) addTo(ctx context.Context, id string, part *os.File, p piece) (status, error) {
	unlock, err := lock(part)
	if err != nil {
		return status{}, errBusy
	}
	defer unlock()
	u, err := f.look(id) // now nobody else changes it
	switch {
	case err != nil:
		return status{}, err
	case u.done || u.offset != p.at:
		return f.over(id, p.at)
	}
	if err = f.append(part, &u, p); err == nil && u.offset == u.Size {
		err = f.finish(ctx, part, &u)
	}
	return u, err
}

// append writes a piece behind what has arrived.
func (f *folder) append(part *os.File, u *status, p piece) error {
	if _, err := part.Seek(u.offset, io.SeekStart); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	var from io.Reader = sender{p.body}
	if p.sum != nil {
		from = io.TeeReader(from, p.sum)
	}
	n, failed := f.write(part, io.LimitReader(from, u.Size-u.offset))
	if failed == nil && isMore(p.body) {
		return errors.Join(errTooLong, part.Truncate(u.offset))
	}
	if p.sum != nil && !(failed == nil && p.sum.matches()) {
		// Of a piece that must be whole nothing counts.
		if failed == nil {
			failed = errChecksum
		}
		return errors.Join(failed, part.Truncate(u.offset))
	}
	u.offset += n
	if err := f.tell(part, u); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("upload: %w", failed)
	}
	return nil
}

// A sender is who a piece is read from: what goes wrong there is nothing of this server's.
type sender struct{ io.Reader }

// Read implements io.Reader.
func (s sender) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.Join(errCutOff, err)
	}
	return n, err
}

// isMore reports whether there is something left to read.
func isMore(r io.Reader) bool {
	var one [1]byte
	n, _ := io.ReadFull(r, one[:]) // an error is no more
	return n > 0
}

// tell finds out the type of a file as soon as enough of it has arrived. A wrong one ends it.
func (f *folder) tell(part *os.File, u *status) error {
	if u.Type != "" || u.offset < min(sniffed, u.Size) {
		return nil
	}
	begin := make([]byte, min(sniffed, u.offset))
	if _, err := part.ReadAt(begin, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("upload: %w", err)
	}
	u.Type = http.DetectContentType(begin)
	if f.opts.Types != nil && !slices.Contains(f.opts.Types, u.Type) {
		f.remove(u.ID)
		u.known = false
		return errWrongType
	}
	return f.save(u.ID, info{Name: u.Name, Size: u.Size, Type: u.Type})
}

// finish makes a complete upload a file, or hands it to the sink.
func (f *folder) finish(ctx context.Context, part *os.File, u *status) error {
	if err := part.Sync(); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if f.opts.Sink == nil {
		if err := os.Rename(part.Name(), f.path(u.ID, fileExt)); err != nil {
			return fmt.Errorf("upload: %w", err)
		}
		u.done = true
		return nil
	}
	if err := f.handOn(ctx, part, u.File); err != nil {
		f.opts.Logger.Warn("upload could not be handed on", "id", u.ID[:6], "err", err)
		return problem(http.StatusServiceUnavailable, "The file is here, and can't be passed on at the moment.")
	}
	if err := f.save(u.ID, info{Name: u.Name, Size: u.Size, Type: u.Type, Gone: true}); err != nil {
		return err
	}
	u.done = true
	_ = os.Remove(part.Name()) // it is swept later
	f.mu.Lock()
	f.sizes[u.ID] = 0
	f.mu.Unlock()
	return nil
}

// handOn copies a file to the sink. A panic of the application is an error.
func (f *folder) handOn(ctx context.Context, part *os.File, file File) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in Sink: %v", p)
		}
	}()
	to, err := f.opts.Sink(ctx, file)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(part, 0, file.Size))
	return errors.Join(err, to.Close())
}

// open opens a complete file, and notes that it was asked for.
func (f *folder) open(id string) (*os.File, File, error) {
	i, err := f.load(id)
	if err != nil {
		return nil, File{}, err
	}
	file, err := os.Open(f.path(id, fileExt))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, File{}, errUnknown
	}
	if err != nil {
		return nil, File{}, fmt.Errorf("upload: %w", err)
	}
	now := f.opts.Clock()
	if at, err := file.Stat(); err == nil && now.Sub(at.ModTime()) > touchPause {
		_ = os.Chtimes(file.Name(), now, now) // it would only be kept for less long
	}
	return file, File{ID: id, Size: i.Size, Name: i.Name, Type: i.Type}, nil
}

// end removes an upload that is not complete, for good. The id of one that is complete is no
// secret any more: whoever is shown the file has it.
func (f *folder) end(id string) error {
	release, err := f.hold(id)
	if err != nil {
		return err
	}
	defer release()
	switch u, err := f.look(id); {
	case err != nil:
		return err
	case u.done:
		return errComplete
	}
	f.remove(id)
	return nil
}

// hold makes this the only request that changes an upload.
func (f *folder) hold(id string) (release func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, busy := f.busy[id]; busy {
		return nil, errBusy
	}
	f.busy[id] = struct{}{}
	return func() {
		f.mu.Lock()
		delete(f.busy, id)
		f.mu.Unlock()
	}, nil
}

// remove removes what an upload has: the info last, by which it is found.
func (f *folder) remove(id string) {
	for _, ext := range []string{partExt, fileExt, infoExt + ".new", infoExt} {
		_ = os.Remove(f.path(id, ext)) // what is left is swept later
	}
}

// scan learns what other processes have begun and ended, and removes what has expired. The caller
// holds mu.
func (f *folder) scan() error {
	now := f.opts.Clock()
	if now.Sub(f.scanned) < scanPause {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	sweeps := now.Sub(f.swept) >= sweepPause
	there, unfinished := make(map[string]int64), 0
	for _, e := range entries {
		id, ext, _ := strings.Cut(e.Name(), ".")
		if !ValidID(id) {
			continue // it is nobody's of ours
		}
		if sweeps && f.expired(id, "."+ext, e, now) {
			f.remove(id)
			continue
		}
		if "."+ext == partExt {
			unfinished++
		}
		if "."+ext != infoExt {
			continue
		}
		size, known := f.sizes[id]
		if !known {
			i, err := f.load(id)
			if err != nil {
				continue
			}
			if !i.Gone {
				size = i.Size
			}
		}
		there[id] = size
	}
	f.sizes, f.unfinished, f.scanned = there, unfinished, now
	if sweeps {
		f.swept = now
	}
	return nil
}

// expired reports whether the time of an upload is over, as far as one of its files says. The
// caller holds mu.
func (f *folder) expired(id, ext string, e fs.DirEntry, now time.Time) bool {
	if _, busy := f.busy[id]; busy {
		return false
	}
	at, err := e.Info()
	if err != nil {
		return false // it has just gone
	}
	age := now.Sub(at.ModTime())
	switch ext {
	case fileExt:
		return f.opts.Keep > 0 && age > f.opts.Keep
	case partExt:
		return age > f.opts.Expire
	}
	// Nothing but what is said of it is left, or it is with the sink.
	return age > f.opts.Expire && !f.has(id, partExt) && !f.has(id, fileExt)
}
