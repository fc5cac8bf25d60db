package boltcounter_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
)

// flood applies many calls of MaxOps ops to one counter and returns one of the
// ops.
func flood(t testing.TB, s *boltcounter.Store, calls int) (one counter.Op) {
	t.Helper()
	s.Hurry(true)
	defer s.Hurry(false)
	for range calls {
		ops := make([]counter.Op, counter.MaxOps)
		for i := range ops {
			ops[i] = newOp()
		}
		one = ops[0]
		if _, _, err := s.Apply(t.Context(), "flooded", ops...); err != nil {
			t.Fatal(err)
		}
	}
	return one
}

func sizeOf(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func wantCount(t testing.TB, s *boltcounter.Store, name string, want int64) {
	t.Helper()
	values, err := s.Get(t.Context(), name)
	must(t, err)
	if values[0].N != want || values[0].Version != uint64(want) {
		t.Errorf("%s: got %+v, want %d", name, values[0], want)
	}
}

// wantNew checks whether an op is one that the store does not know.
func wantNew(t testing.TB, s *boltcounter.Store, name string, op counter.Op, want bool) {
	t.Helper()
	_, applied, err := s.Apply(t.Context(), name, op)
	must(t, err)
	if applied[0] != want {
		t.Errorf("an op of %s: applied %v, want %v", name, applied[0], want)
	}
}

// floodedCalls is what comes to a file of 16 MB or so.
const floodedCalls = 140

func TestAFileThatIsMostlyFreeIsMadeSmallerAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	s, err := boltcounter.Open(path, nil)
	must(t, err)
	s.Shift(-time.Hour)
	flood(t, s, floodedCalls)
	must(t, s.Close())
	full := sizeOf(t, path)
	must(t, os.WriteFile(path+".compact", []byte("left by a crash"), 0o600))

	s = open(t, path)
	if got := sizeOf(t, path); got > 1<<20 || full < 4<<20 {
		t.Errorf("got %d bytes after all ops have been forgotten, of %d; want 1 MB at most", got, full)
	}
	wantCount(t, s, "flooded", floodedCalls*counter.MaxOps)
	if _, err := os.Stat(path + ".compact"); err == nil {
		t.Error("the copy is still there")
	}
	if _, err := boltcounter.Open(path, nil); err == nil {
		t.Error("a second instance can open the smaller file")
	}
	wantNew(t, s, "flooded", newOp(), true)
}

func TestAFileIsMadeSmallerWhileItIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	s := open(t, path)
	s.Shift(-time.Hour)
	flood(t, s, floodedCalls)
	full := sizeOf(t, path)
	s.Shift(time.Hour)
	s.CompactOften()
	var clicks sync.WaitGroup
	const clickers, each = 4, 40 // enough for all ops of the flood to be forgotten
	for i := range clickers {
		clicks.Go(func() {
			for range each {
				op := newOp()
				wantNew(t, s, string(rune('a'+i)), op, true)
				wantNew(t, s, string(rune('a'+i)), op, false)
			}
		})
	}
	clicks.Wait()
	must(t, s.Close())
	if got := sizeOf(t, path); got > 2<<20 {
		t.Errorf("got %d bytes after the flood has been forgotten, of %d; want 2 MB at most", got, full)
	}
	s = open(t, path)
	wantCount(t, s, "flooded", floodedCalls*counter.MaxOps)
	for i := range clickers {
		wantCount(t, s, string(rune('a'+i)), each)
	}
}

func TestAFileThatIsInUseIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	s := open(t, path)
	op := flood(t, s, floodedCalls)
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, s.Compact())
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a file that is full was copied")
	}
	wantNew(t, s, "flooded", op, false)
}

func TestAnInstanceThatWaitedForTheLargerFileDoesNotGetIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	s := open(t, path)
	s.Shift(-time.Hour)
	flood(t, s, 20)
	s.Shift(time.Hour)
	for range 20 { // they are forgotten
		wantNew(t, s, "a", newOp(), true)
	}
	s.CompactOften()
	second := make(chan error, 1)
	go func() { // ends within a second or two
		other, err := boltcounter.Open(path, nil)
		if err == nil {
			err = other.Close()
		}
		second <- err
	}()
	waitForSecondOpening(t, path)
	must(t, s.Compact())
	wantOneLine(t, <-second, "in use")
	wantNew(t, s, "a", newOp(), true)
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

// BenchmarkCompact says how long clicks wait while a file with so much in use
// is made smaller.
func BenchmarkCompact(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		path := filepath.Join(b.TempDir(), "counters.db")
		s, err := boltcounter.Open(path, nil)
		must(b, err)
		s.Shift(-time.Hour)
		flood(b, s, 600)
		s.Shift(time.Hour)
		flood(b, s, 160) // stays
		for range 160 {  // all of the first flood is forgotten
			wantNew(b, s, "a", newOp(), true)
		}
		s.CompactOften()
		full := sizeOf(b, path)
		b.StartTimer()
		must(b, s.Compact())
		b.StopTimer()
		b.ReportMetric(float64(full)/(1<<20), "MB-before")
		b.ReportMetric(float64(sizeOf(b, path))/(1<<20), "MB-after")
		must(b, s.Close())
		b.StartTimer()
	}
}
