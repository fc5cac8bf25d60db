package main

import (
	"crypto/tls"

	"lockstep/serve/settings"
)

// tlsFlags name the certificate of the public address; none is no TLS.
type tlsFlags struct{ Cert, Key string }

func (f *tlsFlags) define(fs *settings.Set) {
	fs.Group("TLS")
	fs.Text(&f.Cert, "tls-cert", "", "`file` with the certificate and those between it and its authority (PEM). It is read again when it changes. With -replicas the balancer speaks TLS, and the replicas, which don't, listen on the loopback only")
	fs.Text(&f.Key, "tls-key", "", "`file` with its key (PEM)")
}

// on reports whether TLS is wanted.
func (f tlsFlags) on() bool { return f.Cert != "" }

func (f tlsFlags) check() error {
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return settings.Wrong("-tls-cert and -tls-key: one without the other")
	case !f.on():
		return nil
	}
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		return settings.Wrong("-tls-cert, -tls-key: %s", err)
	}
	return nil
}
