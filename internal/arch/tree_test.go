package arch_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What is built does not belong into the history: a clone has all of it for
// ever. A file may have 200 KB, and the tree 16 MB: that of 15 MB was reached by source alone, with
// a driver and tests for each broker.
func TestTheTreeIsSmall(t *testing.T) {
	const maxFile, maxTree, block = 200_000, 17_000_000, 4096
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no checkout: %v", err)
	}
	var tree int64
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat("../../" + name)
		if err != nil {
			continue // deleted, and not committed yet
		}
		if info.Size() > maxFile {
			t.Errorf("%s has %d bytes, more than %d: is it built?", name, info.Size(), maxFile)
		}
		tree += (info.Size() + block - 1) / block * block // as file systems count
	}
	if tree > maxTree {
		t.Errorf("the tree has %d bytes, more than %d", tree, maxTree)
	}
}
