package natsembedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// The names of the accounts: NATS has the first for what belongs to no other.
const (
	applicationAccount = "$G"
	systemAccount      = "$SYS"
)

// reportErrors is how many attempts to reach a peer, one each second, are one line of the log.
const reportErrors = 60

// A cluster is what a server knows of its peers. Nil: it is alone.
type cluster struct {
	own      string   // the address of this one
	all      []string // of all, this one among them
	replaces []string
	secret   [][]byte
}

var (
	errWildcard = errors.New("the address to listen at is a wildcard: say the one at which the peers reach this replica")
	errNoPeers  = errors.New("a cluster needs the addresses of its peers: three servers survive the loss of one")
	errAlone    = errors.New("peers need an address at which they reach this replica")
	errNoSecret = fmt.Errorf("a cluster needs a secret of at least %d bytes, the same for all peers", minSecret)
)

// newCluster returns what options say of peers, or what is wrong with it.
func newCluster(o *Options) (*cluster, error) {
	if o.Listen == "" {
		if len(o.Peers)+len(o.Replaces) > 0 {
			return nil, errAlone
		}
		return nil, nil
	}
	c := &cluster{own: o.Listen, all: []string{o.Listen}, replaces: o.Replaces, secret: o.Secret}
	for _, peer := range o.Peers {
		if !slices.Contains(c.all, peer) {
			c.all = append(c.all, peer)
		}
	}
	for _, addr := range slices.Concat(c.all, c.replaces) {
		if err := checkAddr(addr); err != nil {
			return nil, err
		}
	}
	switch {
	case slices.Contains(c.replaces, c.own):
		return nil, errors.New("a server replaces another one, and not itself")
	case len(c.all) == 1:
		return nil, errNoPeers
	case len(c.all) > MaxPeers:
		return nil, fmt.Errorf("there are %d peers: %d are the most", len(c.all), MaxPeers)
	case len(c.secret) == 0:
		return nil, errNoSecret
	}
	for _, key := range c.secret {
		if len(key) < minSecret {
			return nil, errNoSecret
		}
	}
	return c, nil
}

// checkAddr returns what is wrong with the address of a peer.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port from 1 to 65535", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return errWildcard
	}
	if strings.ContainsAny(host, " \t\r\n/?#@%*>\"'\\") {
		return fmt.Errorf("%q is not the name or the address of a host", addr)
	}
	return nil
}

// kept is how many servers keep the states.
func (c *cluster) kept() int {
	if c == nil {
		return 1
	}
	return min(mostKept, len(c.all))
}

// routes returns the addresses as NATS wants them. The own one is among them: a cluster that begins
// counts them.
func (c *cluster) routes() (all []*url.URL) {
	for _, addr := range c.all {
		all = append(all, &url.URL{Scheme: "nats-route", Host: addr})
	}
	return all
}

// settings are those of a server with an identity.
func settings(o *Options, c *cluster, id string, u users) *server.Options {
	system := server.NewAccount(systemAccount)
	so := &server.Options{
		ServerName: "lockstep-" + id,
		DontListen: c == nil, // applications are in this process
		NoSigs:     true,     // signals are the program's
		NoLog:      true,
		StoreDir:   o.Dir, JetStream: true, SyncAlways: true,
		JetStreamMaxMemory: -1, JetStreamMaxStore: -1,
		DisableJetStreamBanner: true,
		Accounts:               []*server.Account{system}, SystemAccount: systemAccount,
		Nkeys: []*server.NkeyUser{{Nkey: u.application.public}, {Nkey: u.system.public, Account: system}},
	}
	if c == nil {
		return so
	}
	host, port, _ := net.SplitHostPort(c.own) // checkAddr has looked at it
	n, _ := strconv.Atoi(port)
	// A server has no routes before it listens for applications, too: where nobody is, and nobody has
	// a key.
	so.Host, so.Port = "127.0.0.1", server.RANDOM_PORT
	so.Routes = c.routes()
	so.ConnectErrorReports, so.ReconnectErrorReports = reportErrors, reportErrors
	so.Cluster = server.ClusterOpts{
		Name: "lockstep", Host: host, Port: n, TLSConfig: mutual(c.secret), TLSTimeout: startTimeout.Seconds() / 10,
		PingInterval: routePing, MaxPingsOut: 2,
	}
	return so
}

// A user is who connects within this process, by a key that is in its memory alone.
type user struct {
	pair   nkeys.KeyPair
	public string
}

// users are those of a server: nobody else can connect.
type users struct{ application, system user }

func newUsers() (u users, err error) {
	for _, u := range []*user{&u.application, &u.system} {
		if u.pair, err = nkeys.CreateUser(); err == nil {
			u.public, err = u.pair.PublicKey()
		}
		if err != nil {
			return users{}, err
		}
	}
	return u, nil
}

// connect connects within the process.
func (u user) connect(ns *server.Server) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(ns), nats.Nkey(u.public, u.pair.Sign), nats.Name("lockstep"),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
}

// fits returns why a folder can't be used in a cluster, or without one: a server that changes from
// one to the other leaves what it has kept behind.
func fits(dir string, clustered bool) error {
	base := filepath.Join(dir, server.JetStreamStoreDir)
	_, err := os.Stat(filepath.Join(base, systemAccount))
	inCluster := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = os.Stat(filepath.Join(base, applicationAccount))
	inUse := inCluster || err == nil
	switch {
	case inUse && clustered && !inCluster:
		return fmt.Errorf("%s is what a server has kept alone, which a cluster would not see: give another folder", dir)
	case inUse && !clustered && inCluster:
		return fmt.Errorf("%s is of a cluster: give the addresses of its peers, or another folder", dir)
	}
	return nil
}

// identity returns who the server with a folder is. It is as old as the folder: a server that comes
// back with an empty one has forgotten what it has acknowledged, so it is somebody else.
func identity(dir string) (string, error) {
	path := filepath.Join(dir, "id")
	got, err := os.ReadFile(path)
	if err == nil && len(got) > 0 {
		return strings.TrimSpace(string(got)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := strings.ToLower(rand.Text())
	return id, errors.Join(os.WriteFile(path, []byte(id+"\n"), 0o600), synced(path), synced(dir))
}

// synced has a file, or the names in a folder, outlive the loss of power: what the server keeps
// does, and would be somebody else's without its name.
func synced(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
