// Package tlsoptions reads what the URL of a server says about TLS: sslmode,
// sslrootcert, sslcert and sslkey. The names, and what they mean, are those of
// PostgreSQL's URLs. It is for clients that know nothing of them, and knows no
// client itself.
package tlsoptions

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// Options are what a URL says. "" is none of each.
type Options struct {
	mode string // sslmode: verify-full (default), verify-ca (any name) or require (anybody)
	root string // sslrootcert: authorities that are believed, instead of the system's
	cert string // sslcert: our certificate, for a server that wants one
	key  string // sslkey: its key
}

// Take takes the options out of a URL's query.
func Take(q url.Values) (o Options) {
	for name, p := range map[string]*string{"sslmode": &o.mode, "sslrootcert": &o.root, "sslcert": &o.cert, "sslkey": &o.key} {
		*p = q.Get(name)
		q.Del(name)
	}
	return o
}

// Apply adds the options to how TLS is spoken. c is nil where it is not; schemes
// are those of URLs where it is, for the error. Our certificate is read for each
// connection, so that it can be replaced. An error names files, and nothing else
// of the URL.
func (o Options) Apply(c *tls.Config, schemes string) error {
	switch {
	case o == Options{}:
		return nil
	case c == nil:
		return errors.New("sslmode, sslrootcert, sslcert and sslkey are for " + schemes)
	case (o.cert == "") != (o.key == ""):
		return errors.New("sslcert and sslkey: one without the other")
	}
	if o.root != "" {
		pem, err := os.ReadFile(o.root)
		if err != nil {
			return fmt.Errorf("sslrootcert: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("sslrootcert: there is no certificate in %s", o.root)
		}
	}
	if err := o.applyMode(c); err != nil {
		return err
	}
	if o.cert == "" {
		return nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
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
func (o Options) applyMode(c *tls.Config) error {
	switch o.mode {
	case "", "verify-full":
		return nil
	case "verify-ca":
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyAuthority(s, c.RootCAs) }
	case "require": // what some platforms give: a certificate that nobody can check
		if o.root != "" {
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
