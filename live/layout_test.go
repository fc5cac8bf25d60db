package live

import (
	"testing"
	"unsafe"
)

// With many tabs a delivery costs what it waits for memory: see writer.go.
func TestADeliveryTouchesOneLineOfASession(t *testing.T) {
	const line = 64
	var s Session
	if got := unsafe.Sizeof(s); got != 4*line && unsafe.Sizeof(uintptr(0)) == 8 { // with 32 bits it is smaller
		t.Errorf("a session has %d bytes, want 256, which begin with a line", got)
	}
	if end := unsafe.Offsetof(s.inline) + unsafe.Offsetof(s.inline[0].room); end > line {
		t.Errorf("what a delivery touches is %d bytes, want at most %d", end, line)
	}
}
