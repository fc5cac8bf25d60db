package boltstate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/boltstate"
)

// flooded is how many topics flood writes, of 256 KB each: 16 MB.
const flooded = 64

// flood writes data to many topics.
func flood(t testing.TB, s *boltstate.Store, data []byte) {
	t.Helper()
	s.Hurry(true)
	defer s.Hurry(false)
	for i := range flooded {
		commit(t, s, state.Step{Topic: "flooded" + strconv.Itoa(i), Data: data})
	}
}

// big is what most of a file is; small what stays of it.
var big, small = bytes.Repeat([]byte("big "), 64<<10), []byte("small")

func wantFlooded(t testing.TB, s *boltstate.Store, data []byte) {
	t.Helper()
	for i := range flooded {
		if r := read(t, s, "flooded"+strconv.Itoa(i)); !bytes.Equal(r.Data, data) {
			t.Fatalf("topic %d: got %d bytes, want %d", i, len(r.Data), len(data))
		}
	}
}

func sizeOf(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func TestAFileThatIsMostlyFreeIsMadeSmallerAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	s, err := boltstate.Open(path, nil)
	must(t, err)
	c := newClient()
	wantAdded(t, s, "a", c, 1, true)
	flood(t, s, big)
	flood(t, s, small)
	must(t, s.Close())
	full := sizeOf(t, path)
	must(t, os.WriteFile(path+".compact", []byte("left by a crash"), 0o600))

	s = open(t, path)
	if got := sizeOf(t, path); got > 1<<20 || full < 4<<20 {
		t.Errorf("got %d bytes after the data were replaced, of %d; want 1 MB at most", got, full)
	}
	wantFlooded(t, s, small)
	wantAdded(t, s, "a", c, 1, false)
	if _, err := os.Stat(path + ".compact"); err == nil {
		t.Error("the copy is still there")
	}
	if _, err := boltstate.Open(path, nil); err == nil {
		t.Error("a second instance can open the smaller file")
	}
	// A topic that is new in the copy has an id of its own.
	wantAdded(t, s, "b", c, 1, true)
	wantAdded(t, s, "b", c, 1, false)
}

func TestAFileIsMadeSmallerWhileItIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	s := open(t, path)
	flood(t, s, big)
	flood(t, s, small)
	full := sizeOf(t, path)
	s.CompactOften()
	var clicks sync.WaitGroup
	const clickers, each = 4, 40
	clients := make([]state.Client, clickers)
	for i := range clients {
		clients[i] = newClient()
		clicks.Go(func() {
			for seq := range uint64(each) {
				wantAdded(t, s, string(rune('a'+i)), clients[i], seq+1, true)
				wantAdded(t, s, string(rune('a'+i)), clients[i], seq+1, false)
			}
		})
	}
	clicks.Wait()
	must(t, s.Close())
	if got := sizeOf(t, path); got > 2<<20 {
		t.Errorf("got %d bytes after the data were replaced, of %d; want 2 MB at most", got, full)
	}
	s = open(t, path)
	wantFlooded(t, s, small)
	for i, c := range clients {
		wantCount(t, s, string(rune('a'+i)), each)
		wantAdded(t, s, string(rune('a'+i)), c, each, false)
	}
}

func TestAFileThatIsInUseIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	s := open(t, path)
	flood(t, s, big)
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, s.Compact())
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a file that is full was copied")
	}
	wantFlooded(t, s, big)
}

func TestAnInstanceThatWaitedForTheLargerFileDoesNotGetIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	s := open(t, path)
	flood(t, s, big)
	flood(t, s, small)
	s.CompactOften()
	second := make(chan error, 1)
	go func() { // ends within a second or two
		other, err := boltstate.Open(path, nil)
		if err == nil {
			err = other.Close()
		}
		second <- err
	}()
	waitForSecondOpening(t, path)
	must(t, s.Compact())
	wantOneLine(t, <-second, "in use")
	wantAdded(t, s, "a", newClient(), 1, true)
}

// waitForSecondOpening waits until this process has a file open twice.
func waitForSecondOpening(t testing.TB, path string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		n := 0
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc")
		}
		for _, fd := range fds {
			if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); to == path {
				n++
			}
		}
		if n >= 2 {
			return
		}
	}
	t.Fatal("nobody opens the file a second time")
}
