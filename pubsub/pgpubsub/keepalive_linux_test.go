package pgpubsub_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/internal/testserver"
	"lockstep/pubsub/pgpubsub"
)

// TestASilentSessionIsKeptAlive by the system: a server that has gone without a word is noticed on
// a connection on which nothing is ever sent, with TLS and without.
func TestASilentSessionIsKeptAlive(t *testing.T) {
	for name, server := range map[string]*testserver.Server{
		"clear": testserver.Postgres(t), "TLS": testserver.PostgresTLS(t, testserver.NewAuthority(t)),
	} {
		t.Run(name, func(t *testing.T) {
			config, err := pgxpool.ParseConfig(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 2) // for each of its connections
			config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
				got <- keptAlive(c.PgConn().Conn())
				return nil
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			d, err := pgpubsub.NewDriverLike(pool, nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := d.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 2 {
				if err := <-got; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// keptAlive returns an error unless the system asks after half a minute of silence at the latest.
func keptAlive(c net.Conn) error {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return errors.New("it is no TCP connection")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var on, idle, interval, count int
	err = raw.Control(func(fd uintptr) {
		on, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		idle, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		interval, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
		count, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
	})
	if err == nil && (on == 0 || idle+interval*count > 30) {
		err = errors.New("the system does not ask, or late")
	}
	return err
}
