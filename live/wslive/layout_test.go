package wslive

import (
	"testing"
	"unsafe"
)

func TestADeliveryTouchesOneLineOfAConnection(t *testing.T) {
	const line = 64
	var c conn
	if got := unsafe.Sizeof(c); got != 2*line && unsafe.Sizeof(uintptr(0)) == 8 { // with 32 bits it is smaller
		t.Errorf("a connection has %d bytes, want 128, which begin with a line", got)
	}
	if end := unsafe.Offsetof(c.rest) + unsafe.Sizeof(c.rest); end > line {
		t.Errorf("what a delivery touches is %d bytes, want at most %d", end, line)
	}
}
