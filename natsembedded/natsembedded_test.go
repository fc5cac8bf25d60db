package natsembedded_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/internal/pause"
	"lockstep/internal/short"
	"lockstep/internal/testserver"
	"lockstep/natsembedded"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/state"
	"lockstep/state/natsstate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a cluster may take to choose a leader, on a busy machine.
const patience = time.Minute

var secret = [][]byte{bytes.Repeat([]byte("k"), 32)}

// quiet is for servers whose peers are missing on purpose.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// alone starts a server that has no peers.
func alone(t testing.TB, dir string) *natsembedded.Server {
	t.Helper()
	return start(t, &natsembedded.Options{Dir: dir})
}

// start starts a server that ends with the test.
func start(t testing.TB, o *natsembedded.Options) *natsembedded.Server {
	t.Helper()
	short.Skip(t, "starts servers of NATS")
	o.Logger = quiet()
	s, err := natsembedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// A peer is a server of a cluster, which can be started again.
type peer struct {
	natsembedded.Options
	server *natsembedded.Server
}

func (p *peer) start(t testing.TB) {
	t.Helper()
	o := p.Options
	p.server = start(t, &o)
}

// addrs returns addresses on hosts of this machine, which have not been used.
func addrs(t testing.TB, n int) (all []string) {
	t.Helper()
	for i := range n {
		all = append(all, net.JoinHostPort(fmt.Sprintf("127.0.0.%d", i+1), fmt.Sprint(testserver.FreePort(t))))
	}
	return all
}

// clusterOf starts a cluster of three.
func clusterOf(t testing.TB) (all []*peer) {
	t.Helper()
	at := addrs(t, 3)
	for _, addr := range at {
		p := &peer{Options: natsembedded.Options{Dir: t.TempDir(), Listen: addr, Peers: at, Secret: secret}}
		p.start(t)
		all = append(all, p)
	}
	await(t, all...)
	complete(t, all[0])
	return all
}

func await(t testing.TB, all ...*peer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range all {
		if err := p.server.Await(ctx); err != nil {
			t.Fatal(p.Listen, err)
		}
	}
}

// eventually calls f until it has no error. Each call has some seconds: an answer of JetStream may
// not come at all while there is no leader.
func eventually(t testing.TB, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		try, end := context.WithTimeout(ctx, 5*time.Second)
		err := f(try)
		end()
		if err == nil {
			return
		}
		if !pause.For(ctx, 100*time.Millisecond) {
			t.Fatal(err)
		}
	}
}

// open opens the store of a server, which ends with the test.
func open(t testing.TB, s *natsembedded.Server) (store *natsstate.Store) {
	t.Helper()
	eventually(t, func(ctx context.Context) (err error) {
		store, err = s.Open(ctx, nil)
		return err
	})
	t.Cleanup(func() { _ = store.Close() }) // twice is harmless
	return store
}

// put stores data, as soon as the store can.
func put(t testing.TB, s state.Store, topic, data string) {
	t.Helper()
	var client state.Client
	_, _ = rand.Read(client[:]) // it never fails
	eventually(t, func(ctx context.Context) error {
		got, err := s.Read(ctx, topic)
		if err != nil {
			return err
		}
		return s.Commit(ctx, state.Step{
			Topic: topic, Base: got[0], Data: []byte(data), Moves: []state.Move{{Client: client, To: state.Lane{Last: 1, From: 1}}},
		})[0].Err
	})
}

// shows waits until a store has data.
func shows(t testing.TB, s state.Store, topic, want string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got, err := s.Read(ctx, topic)
		if err == nil && string(got[0].Data) != want {
			err = fmt.Errorf("got %q, want %q", got[0].Data, want)
		}
		return err
	})
}

// complete waits until three peers count, as one of them sees it, and all that is kept is on all
// three.
func complete(t testing.TB, p *peer) {
	t.Helper()
	eventually(t, func(ctx context.Context) error { return p.server.Complete(ctx, 3) })
}

func TestTheDriverKeepsTheContract(t *testing.T) {
	s := alone(t, t.TempDir())
	drivertest.Run(t, drivertest.Harness{PublishersApart: true, Driver: func(t testing.TB) driver.Driver { return driverOf(t, s) }})
}

func driverOf(t testing.TB, s *natsembedded.Server) driver.Driver {
	t.Helper()
	d, err := s.Driver()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestAnyOneCanGoAndAnotherTakesItsPlace: what was acknowledged is there while any of three is
// away; a fourth at another address takes the place of one, so that another one can go after it.
func TestAnyOneCanGoAndAnotherTakesItsPlace(t *testing.T) {
	all := clusterOf(t)
	stores := make([]state.Store, len(all))
	for i, p := range all {
		stores[i] = open(t, p.server)
	}
	put(t, stores[0], "x", "0")
	last := "0"
	for i, p := range all {
		p.server.Stop()
		other, third := stores[(i+1)%3], stores[(i+2)%3]
		shows(t, other, "x", last)
		last = fmt.Sprint("without ", i)
		put(t, other, "x", last)
		shows(t, third, "x", last)
		p.start(t)
		await(t, p)
		_ = stores[i].Close()
		stores[i] = open(t, p.server)
		shows(t, stores[i], "x", last)
	}
	gone := all[2]
	gone.server.Stop()
	fourth := &peer{Options: natsembedded.Options{
		Dir: t.TempDir(), Listen: addrs(t, 4)[3], Peers: []string{all[0].Listen, all[1].Listen}, Replaces: []string{gone.Listen}, Secret: secret,
	}}
	fourth.start(t)
	await(t, fourth)
	complete(t, all[1])
	all[0].server.Stop()
	shows(t, stores[1], "x", last)
	put(t, stores[1], "x", "by two of the new three")
	shows(t, open(t, fourth.server), "x", "by two of the new three")
}

// TestWhoIsThereIsNotReplaced: an address may have somebody else by the time that a server with
// Replaces is started again.
func TestWhoIsThereIsNotReplaced(t *testing.T) {
	all := clusterOf(t)
	for range 2 { // whoever leads
		if err := all[2].server.Replace(t.Context(), all[0].Listen); !errors.Is(err, natsembedded.ErrThere) {
			t.Fatalf("got %v", err)
		}
		if err := all[0].server.Replace(t.Context(), all[2].Listen); !errors.Is(err, natsembedded.ErrThere) {
			t.Fatalf("got %v", err)
		}
	}
	complete(t, all[1])
}

// TestAPeerThatHasLostItsDiskTakesItsOwnPlace: it has forgotten what it acknowledged, so it is
// somebody else at the same address.
func TestAPeerThatHasLostItsDiskTakesItsOwnPlace(t *testing.T) {
	all := clusterOf(t)
	store := open(t, all[0].server)
	put(t, store, "x", "1")
	all[2].server.Stop()
	all[2].Dir = t.TempDir()
	all[2].start(t)
	await(t, all[2])
	complete(t, all[0])
	all[1].server.Stop()
	shows(t, store, "x", "1")
	put(t, store, "x", "2")
	shows(t, open(t, all[2].server), "x", "2")
}

func TestWhoHasNotTheSecretIsNoPeer(t *testing.T) {
	at := addrs(t, 3)
	for i, key := range []string{"a", "a", "b"} {
		p := &peer{Options: natsembedded.Options{Dir: t.TempDir(), Listen: at[i], Peers: at, Secret: [][]byte{bytes.Repeat([]byte(key), 32)}}}
		p.start(t)
		if i < 2 {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.server.Await(ctx); err == nil {
			t.Error("a server with another secret is a peer")
		}
	}
}

func TestKeysAreReplacedOneAfterTheOther(t *testing.T) {
	older, newer := bytes.Repeat([]byte("o"), 32), bytes.Repeat([]byte("n"), 32)
	at := addrs(t, 3)
	var all []*peer
	for i, keys := range [][][]byte{{older, newer}, {newer, older}, {newer, older}} {
		p := &peer{Options: natsembedded.Options{Dir: t.TempDir(), Listen: at[i], Peers: at, Secret: keys}}
		p.start(t)
		all = append(all, p)
	}
	await(t, all...)
}

func TestWrongOptions(t *testing.T) {
	dir := t.TempDir()
	cluster := func(o natsembedded.Options) natsembedded.Options {
		o.Dir = dir
		if o.Secret == nil {
			o.Secret = secret
		}
		return o
	}
	for says, o := range map[string]natsembedded.Options{
		"at which they reach this":   {Dir: dir, Peers: []string{"a:1"}},
		"wildcard":                   cluster(natsembedded.Options{Listen: "0.0.0.0:6222", Peers: []string{"a:1"}}),
		"not host:port":              cluster(natsembedded.Options{Listen: "10.0.0.1", Peers: []string{"a:1"}}),
		"no port":                    cluster(natsembedded.Options{Listen: "10.0.0.1:x", Peers: []string{"a:1"}}),
		"not the name":               cluster(natsembedded.Options{Listen: "10.0.0.1:1", Peers: []string{"a b:1"}}),
		"addresses of its peers":     cluster(natsembedded.Options{Listen: "a:1", Peers: []string{"a:1"}}),
		"not itself":                 cluster(natsembedded.Options{Listen: "a:1", Peers: []string{"b:1"}, Replaces: []string{"a:1"}}),
		"secret of at least":         cluster(natsembedded.Options{Listen: "a:1", Peers: []string{"b:1"}, Secret: [][]byte{[]byte("short")}}),
		"17 peers":                   cluster(natsembedded.Options{Listen: "a:1", Peers: strings.Split(strings.Repeat("b:%,", 15)+"b:%", ",")}),
		"there is a file in its way": {Dir: file(t)},
	} {
		for i := range o.Peers {
			o.Peers[i] = strings.ReplaceAll(o.Peers[i], "%", fmt.Sprint(i+1))
		}
		if says == "there is a file in its way" {
			says = "not a directory"
		}
		s, err := natsembedded.Start(&o)
		if err == nil {
			s.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v", says, err)
		}
	}
}

func file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnAddressThatIsTakenIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = natsembedded.Start(&natsembedded.Options{Dir: t.TempDir(), Listen: l.Addr().String(), Peers: []string{"127.0.0.1:1"}, Secret: secret, Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestAFolderIsOfOneServerAndOneKind(t *testing.T) {
	dir := t.TempDir()
	s := alone(t, dir)
	put(t, open(t, s), "x", "1")
	if other, err := natsembedded.Start(&natsembedded.Options{Dir: dir, Logger: quiet()}); err == nil {
		other.Stop()
		t.Error("two servers have one folder")
	}
	s.Stop()
	at := addrs(t, 2)
	in := natsembedded.Options{Dir: dir, Listen: at[0], Peers: at, Secret: secret, Logger: quiet()}
	if other, err := natsembedded.Start(&in); err == nil || !strings.Contains(err.Error(), "kept alone") {
		if other != nil {
			other.Stop()
		}
		t.Errorf("got %v", err)
	}
	in.Dir = t.TempDir()
	other, err := natsembedded.Start(&in)
	if err != nil {
		t.Fatal(err)
	}
	other.Stop()
	if other, err := natsembedded.Start(&natsembedded.Options{Dir: in.Dir, Logger: quiet()}); err == nil || !strings.Contains(err.Error(), "of a cluster") {
		if other != nil {
			other.Stop()
		}
		t.Errorf("got %v", err)
	}
}
