package natsembedded

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// Peers know each other by TLS in both directions, and nobody makes certificates: each key of the
// secret is, by HKDF, the key of an authority, which every peer can be. Each issues a certificate
// to itself when it starts, for a key that is in its memory alone.

const (
	minSecret = 32 // bytes
	// peerName is the name of all peers in their certificates: who they are is not proven by where.
	peerName = "lockstep-peer"
)

// The times of certificates say nothing: whoever has the secret can make one at any time, and a
// clock that is wrong must not part a cluster.
func always() (from, until time.Time) {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
}

// mutual returns TLS for who listens and who dials: both have a certificate by the first key, and
// believe those by all.
func mutual(secret [][]byte) *tls.Config {
	pool := x509.NewCertPool()
	for _, key := range secret {
		ca, _ := authority(key)
		pool.AddCert(ca)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: peerName,
		Certificates: []tls.Certificate{issue(secret[0])},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// authority returns the authority of a key, which is the same in all processes.
func authority(key []byte) (*x509.Certificate, ed25519.PrivateKey) {
	seed, err := hkdf.Key(sha256.New, key, nil, "lockstep: authority of embedded NATS servers", ed25519.SeedSize)
	must(err)
	private := ed25519.NewKeyFromSeed(seed)
	public := ed25519.PublicKey(private[ed25519.SeedSize:]) // RFC 8032: it is the second half
	id := sha256.Sum256(public)
	from, until := always()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lockstep"}, SubjectKeyId: id[:20],
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return create(ca, ca, public, private), private
}

// issue returns a certificate by a key, for a key that is made for it.
func issue(key []byte) tls.Certificate {
	ca, private := authority(key)
	public, own, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	from, until := always()
	leaf := create(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: peerName}, DNSNames: []string{peerName},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca, public, private)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: own, Leaf: leaf}
}

func create(template, parent *x509.Certificate, public ed25519.PublicKey, by ed25519.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	must(err)
	c, err := x509.ParseCertificate(der)
	must(err)
	return c
}

// must is for what fails only when this file is wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
