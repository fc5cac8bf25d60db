package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// secureWith returns how a server speaks TLS with the certificate in a file and its key in another;
// none are no TLS.
func secureWith(cert, key string, log *slog.Logger) (*tls.Config, error) {
	switch {
	case cert == "" && key == "":
		return nil, nil
	case cert == "" || key == "":
		return nil, errHalf
	}
	c, err := loadCertificate(cert, key, time.Now, log)
	if err != nil {
		return nil, fmt.Errorf("serve: certificate: %w", err)
	}
	return c.tlsConfig(), nil
}

// errHalf is the error of a certificate without its key.
var errHalf = errors.New("serve: Cert and Key: one without the other")

// lookEvery is how often the files of a certificate are looked at, at most.
const lookEvery = time.Second

// A certificate is a pair of files and what was last read from them. Files
// that are replaced, in place or by links that point elsewhere as Kubernetes
// does it, are read again by one of the next handshakes; until they fit
// together the old ones serve. Its methods may be called concurrently.
type certificate struct {
	// set once
	cert, key string // paths
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex // guards the rest
	current *tls.Certificate
	looked  time.Time
	seen    [2]os.FileInfo // the files that were last read, with or without success
}

// loadCertificate reads the files. It warns of a certificate that is not valid
// now: a client will refuse it.
func loadCertificate(cert, key string, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, now: now, log: log, looked: now()}
	var err error
	if c.seen, err = c.look(); err != nil {
		return nil, err
	}
	if c.current, err = c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// tlsConfig returns how a server speaks TLS with it.
func (c *certificate) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// get implements tls.Config.GetCertificate. A handshake that comes while another reads the files
// waits for that: it takes a millisecond, when they change.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		c.refresh()
	}
	return c.current, nil
}

// refresh reads files that have changed since they were last read, and says
// once what is wrong with them. The caller holds mu.
func (c *certificate) refresh() {
	files, err := c.look() // before they are read: what changes later is seen the next time
	if sameFiles(files, c.seen) {
		return
	}
	c.seen = files
	if err == nil {
		var fresh *tls.Certificate
		if fresh, err = c.load(); err == nil {
			c.current = fresh
			c.log.Info("certificate replaced", "file", c.cert, "not_after", fresh.Leaf.NotAfter)
			return
		}
	}
	c.log.Warn("new certificate can't be used, the old one is kept", "err", err, "not_after", c.current.Leaf.NotAfter)
}

// look returns what the files are, or nil for what is not there.
func (c *certificate) look() (files [2]os.FileInfo, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, statErr := os.Stat(path)
		if statErr != nil {
			err = statErr
			continue
		}
		files[i] = info
	}
	return files, err
}

func sameFiles(a, b [2]os.FileInfo) bool {
	for i := range a {
		switch {
		case a[i] == nil || b[i] == nil:
			if a[i] != b[i] {
				return false
			}
		case !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()):
			return false
		}
	}
	return true
}

func (c *certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, err
	}
	now := c.now()
	switch {
	case now.After(pair.Leaf.NotAfter):
		c.log.Warn("certificate has expired", "file", c.cert, "not_after", pair.Leaf.NotAfter)
	case now.Before(pair.Leaf.NotBefore):
		c.log.Warn("certificate is not valid yet", "file", c.cert, "not_before", pair.Leaf.NotBefore)
	}
	return &pair, nil
}
