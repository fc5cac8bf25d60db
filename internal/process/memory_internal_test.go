package process

import (
	"log/slog"
	"testing"
	"testing/fstest"
)

func TestTheMemoryLimitOfTheProcess(t *testing.T) {
	type files map[string]string
	for name, c := range map[string]struct {
		files files
		want  int64
	}{
		"not Linux":                    {files{}, 0},
		"version 2":                    {files{"proc/self/cgroup": "0::/system.slice/x.service\n", "sys/fs/cgroup/system.slice/x.service/memory.max": "536870912\n"}, 512 << 20},
		"no limit":                     {files{"proc/self/cgroup": "0::/system.slice/x.service\n", "sys/fs/cgroup/system.slice/x.service/memory.max": "max\n"}, 0},
		"a group above":                {files{"proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.max": "2000\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000},
		"a container's own":            {files{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 1000},
		"one whose path is the host's": {files{"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": "1000\n"}, 1000},
		"version 1":                    {files{"proc/self/cgroup": "5:cpu:/\n4:memory:/docker/abc\n0::/\n", "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1000},
		"version 1 without a limit":    {files{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"version 1, with others":       {files{"proc/self/cgroup": "4:cpuset,memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"}, 1000},
		"nonsense":                     {files{"proc/self/cgroup": "\n4:memory\n0::x\n0::/../..\n", "sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := MemoryLimit(root); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestGoStaysBelowTheMemoryLimit(t *testing.T) {
	const none, limit = int64(1) << 62, int64(1000)
	for name, c := range map[string]struct {
		limit   int64
		goLimit string
		is      int64 // what Go has taken GOMEMLIMIT for
		want    int64 // what it is set to; 0: it is left alone
		unmet   bool
	}{
		"no limit":                {0, "", none, 0, false},
		"a limit":                 {limit, "", none, 800, false},
		"GOMEMLIMIT fits":         {limit, "900B", 900, 0, false},
		"GOMEMLIMIT is too large": {limit, "901B", 901, 0, true},
		"GOMEMLIMIT is off":       {limit, "off", none, 0, true},
	} {
		got := int64(0)
		unmet := BoundMemory(c.limit, c.goLimit, func(n int64) int64 {
			if n >= 0 {
				got = n
			}
			return c.is
		}, slog.New(slog.DiscardHandler))
		if got != c.want || (len(unmet) > 0) != c.unmet {
			t.Errorf("%s: got %d and %v, want %d and that something is said: %t", name, got, unmet, c.want, c.unmet)
		}
	}
}

func TestHowManyConnectionsThereIsRoomFor(t *testing.T) {
	for name, c := range map[string]struct {
		files  int
		memory int64
		want   int
	}{
		"by the files":         {10_000, 0, 9_000},
		"few files":            {100, 0, 50},
		"by the memory":        {1_000_000, 512 << 20, 52_428},
		"no limit of anything": {0, 0, 0},
		"no limit of files":    {0, 100 << 20, 10_240},
	} {
		if got := NewRoom(c.files, c.memory).Conns(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
