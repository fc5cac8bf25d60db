package natsstate_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/state/natsstate"
)

// TestStoreGoesWhereAConnectionOfSomebodyElseDoes: with its TLS and its password, and leaves it
// alone. What no URL says is in the options.
func TestStoreGoesWhereAConnectionOfSomebodyElseDoes(t *testing.T) {
	t.Parallel()
	ca := testserver.NewAuthority(t)
	server := testserver.JetStreamTLS(t, ca)
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	theirs, err := nats.Connect("tls://"+server.Addr, nats.UserInfo("app", testserver.Password), nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	unmet := precondition.NewPart("store", nil)
	s, err := natsstate.OpenLike(t.Context(), theirs, &natsstate.Options{Replicas: 1, Synced: true, Preconditions: unmet})
	if err != nil {
		t.Fatal(err)
	}
	if r := click(t, s, "x", 3); string(r.Data) != "3" {
		t.Errorf("got %+v", r)
	}
	if got := unmet.Unmet(); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Flush(); err != nil {
		t.Errorf("got %v of the connection after the store", err)
	}
}

func TestNoConnectionIsNoStore(t *testing.T) {
	t.Parallel()
	if s, err := natsstate.OpenLike(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("got %v, %v", s, err)
	}
}
