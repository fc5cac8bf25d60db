package e2e_test

import (
	bin "encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A clock is the wall clock of one process, which a test can set. The program
// is the real one, built with a package time whose Now adds what a file says:
// nothing of it is in the program that people run.
type clock struct{ path string }

// setClock gives a process that is to be started a clock, which is right.
func (w *cluster) setClock(p *process) {
	w.Helper()
	c := clock{filepath.Join(w.TempDir(), "clock")}
	c.set(w, 0)
	w.clocks = append(w.clocks, c)
	path, err := clockBinary()
	if err != nil {
		w.Fatal(err)
	}
	p.path, p.env = path, []string{clockVariable + "=" + c.path}
}

// clockJumps has clocks jump, some ahead and some back, while people click.
func clockJumps(w *cluster) {
	for _, d := range []time.Duration{time.Hour, -time.Hour, 0} {
		for i, c := range w.clocks {
			switch i {
			case 0:
				c.set(w, d)
			case 1:
				c.set(w, -d)
			}
		}
		w.hold(2 * time.Second)
		for _, tab := range w.group.all()[:clusterTabs/3] {
			tab.cut() // and sends what is unanswered to another clock
		}
		w.hold(time.Second)
	}
}

// set makes the clock jump, to the right time and d.
func (c clock) set(w testing.TB, d time.Duration) {
	w.Helper()
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		w.Fatal(err)
	}
	// In place: the process has the file in its memory.
	if _, err := f.WriteAt(bin.NativeEndian.AppendUint64(nil, uint64(int64(d/time.Second))), 0); err != nil {
		w.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.Fatal(err)
	}
}

const clockVariable = "LOCKSTEP_TEST_CLOCK"

// jumpSource is a file of package time: seconds to add to the wall clock, of a
// file that is mapped into memory.
const jumpSource = `package time

import (
	"syscall"
	"unsafe"
)

var jumped = mapJump()

func mapJump() *int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	m, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*int64)(unsafe.Pointer(&m[0]))
}
`

// clockBinary builds the program with a clock that can be set, once.
var clockBinary = sync.OnceValues(func() (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	pkg := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(pkg, "time.go"))
	if err != nil {
		return "", err
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(string(source), now) {
		return "", fmt.Errorf("%s is not as it was: adapt the test", pkg)
	}
	patched := strings.Replace(string(source), now, now+"\tif jumped != nil {\n\t\tsec += *jumped\n\t}\n", 1)
	files := map[string]string{"time.go": patched, "jump.go": jumpSource}
	replace := make(map[string]string)
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(pkg, name)] = path
	}
	return buildWeb("web-clock", replace)
})
