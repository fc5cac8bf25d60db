package browser

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// broadcastTo is how many tabs BenchmarkDelivery has.
const broadcastTo = 1000

// BenchmarkDelivery says what it costs a tab to be shown a new state, and what it costs to do no
// more than wait with epoll and read. An operation is a broadcast to 1000 connections; all of it
// lies in their buffers before the clock runs, so nobody waits for anybody.
func BenchmarkDelivery(b *testing.B) {
	for _, c := range []struct {
		name  string
		drain func(l *loop)
	}{{"bare", drainBare}, {"tabs", drainTabs}} {
		b.Run(c.name, func(b *testing.B) {
			l, servers := connectedLoop(b)
			b.ReportAllocs()
			for i := range b.N {
				b.StopTimer()
				broadcast(b, servers, i+1)
				b.StartTimer()
				c.drain(l)
			}
			b.StopTimer()
			if c.name == "tabs" && l.tabs[broadcastTo-1].shown.Version != uint64(b.N) {
				b.Fatalf("the last tab shows version %d, want %d", l.tabs[broadcastTo-1].shown.Version, b.N)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*broadcastTo), "ns/delivery")
		})
	}
}

// connectedLoop is a loop that nobody runs, whose tabs are connected to servers.
func connectedLoop(b *testing.B) (*loop, []net.Conn) {
	b.Helper()
	f := &Fleet{config: Config{
		Targets: []*url.URL{{}}, Protocol: protocol.Lockstep{}, Of: 1, Loops: 1, Counters: 1,
		Plan: &workload.Plan{Stages: []workload.Stage{{Browsers: broadcastTo}}},
	}, traits: protocol.Lockstep{}.Traits()}
	l, err := f.newLoop(0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.poll.close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	var servers []net.Conn
	for i := range l.tabs {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := listener.Accept()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = server.Close() })
		servers = append(servers, server)
		t := &l.tabs[i]
		t.showPage(l, opening{view: &protocol.View{Replica: "r", Known: true}})
		t.conn = l.poll.attach(client.(*net.TCPConn), t.index, t.life)
	}
	return l, servers
}

func broadcast(b *testing.B, servers []net.Conn, version int) {
	b.Helper()
	root := fmt.Sprintf(`<section id="counter" class="counter" aria-labelledby="counter-name" data-topic="counter:load-1" data-count="%d" data-version="%d" data-epoch="1" data-size="m" data-parity="odd"><h1 id="counter-name" class="counter-name">load-1</h1><p class="number" aria-live="polite" aria-atomic="true">%d</p></section>`, version, version, version)
	m := fmt.Sprintf(`{"t":"counter:load-1","e":1,"v":%d,"swap":"none","content":%q}`, version, `<hx-partial hx-target="#live" hx-swap="innerMorph">`+root+`</hx-partial>`)
	frame := append([]byte{0x81, 126, byte(len(m) >> 8), byte(len(m))}, m...)
	for _, s := range servers {
		if _, err := s.Write(frame); err != nil {
			b.Fatal(err)
		}
	}
}

// drainTabs does what run does.
func drainTabs(l *loop) {
	for left := broadcastTo; left > 0; {
		n := l.poll.poll(-1)
		left -= n
		for i := range n {
			if e, ok := l.poll.event(i); ok {
				l.ready(e)
			}
		}
	}
}

// drainBare reads, and does nothing else.
func drainBare(l *loop) {
	for left := broadcastTo; left > 0; {
		n, _ := unix.EpollWait(l.poll.epoll, l.poll.events[:], -1)
		left -= n
		for _, e := range l.poll.events[:max(n, 0)] {
			fd := l.tabs[e.Fd].conn.(*polled).fd
			_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&l.buffer[0])), uintptr(len(l.buffer)))
		}
	}
}
