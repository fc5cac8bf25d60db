package redisclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// files are what a URL says about TLS beyond what go-redis understands. The
// names are those that PostgreSQL's URLs have. "" is none.
type files struct {
	root string // sslrootcert: authorities that are believed, instead of the system's
	cert string // sslcert: our certificate, for a server that wants one
	key  string // sslkey: its key
}

// cutFiles takes the options that are ours out of a URL.
func cutFiles(raw string) (rest string, f files, err error) {
	rest, query, found := strings.Cut(raw, "?")
	if !found {
		return raw, f, nil
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", f, errURL
	}
	for name, p := range map[string]*string{"sslrootcert": &f.root, "sslcert": &f.cert, "sslkey": &f.key} {
		*p = q.Get(name)
		q.Del(name)
	}
	if len(q) > 0 {
		rest += "?" + q.Encode()
	}
	return rest, f, nil
}

// apply adds the files to how TLS is spoken; c is nil without TLS. The
// certificate is read for each connection, so that it can be replaced.
func (f files) apply(c *tls.Config) error {
	switch {
	case f == files{}:
		return nil
	case c == nil:
		return errors.New("sslrootcert, sslcert and sslkey are for rediss:// and rediss+cluster://")
	case (f.cert == "") != (f.key == ""):
		return errors.New("sslcert and sslkey: one without the other")
	}
	if f.root != "" {
		pem, err := os.ReadFile(f.root)
		if err != nil {
			return fmt.Errorf("sslrootcert: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("sslrootcert: there is no certificate in %s", f.root)
		}
	}
	if f.cert == "" {
		return nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("sslcert, sslkey: %w", err)
		}
		return &pair, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	_, err := load()
	return err
}
