package process_test

import (
	"os"
	"runtime"
	"testing"

	"lockstep/internal/process"
)

func TestWhatTheProcessUses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system does not say it all")
	}
	before := process.Used()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	after := process.Used()
	if before.CPU <= 0 || after.CPU < before.CPU {
		t.Errorf("got CPU %s and then %s", before.CPU, after.CPU)
	}
	if before.Memory < 1<<20 || before.Memory > 1<<36 {
		t.Errorf("got memory %d", before.Memory)
	}
	if before.Goroutines < 1 {
		t.Errorf("got %d goroutines", before.Goroutines)
	}
	if after.Files != before.Files+1 {
		t.Errorf("got %d files and then %d, want one more", before.Files, after.Files)
	}
}
