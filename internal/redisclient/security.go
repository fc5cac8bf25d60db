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

// security is what a URL says about TLS beyond what go-redis understands. The
// names are those that PostgreSQL's URLs have. "" is none.
type security struct {
	mode string // sslmode: verify-full (default), verify-ca (any name) or require (anybody)
	root string // sslrootcert: authorities that are believed, instead of the system's
	cert string // sslcert: our certificate, for a server that wants one
	key  string // sslkey: its key
}

// cutSecurity takes the options that are ours out of a URL.
func cutSecurity(raw string) (rest string, f security, err error) {
	rest, query, found := strings.Cut(raw, "?")
	if !found {
		return raw, f, nil
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", f, errURL
	}
	for name, p := range map[string]*string{"sslmode": &f.mode, "sslrootcert": &f.root, "sslcert": &f.cert, "sslkey": &f.key} {
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
func (f security) apply(c *tls.Config) error {
	switch {
	case f == security{}:
		return nil
	case c == nil:
		return errors.New("sslmode, sslrootcert, sslcert and sslkey are for rediss:// and rediss+cluster://")
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
	if err := f.applyMode(c); err != nil {
		return err
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

// applyMode has less than all of a certificate checked, where the URL says so.
func (f security) applyMode(c *tls.Config) error {
	switch f.mode {
	case "", "verify-full":
		return nil
	case "verify-ca":
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyAuthority(s, c.RootCAs) }
	case "require": // what some platforms give: a certificate that nobody can check
		if f.root != "" {
			return errors.New("sslmode=require checks nothing; with sslrootcert it is verify-ca or verify-full")
		}
	default:
		return errors.New("sslmode: one of verify-full, verify-ca, require")
	}
	c.InsecureSkipVerify = true
	return nil
}

// verifyAuthority checks a certificate but for the name in it.
func verifyAuthority(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
