package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// packed returns the archive of a release, and what it is called.
func packed(t *testing.T) (name string, archive []byte) {
	t.Helper()
	path, err := release{"../helm/lockstep", t.TempDir(), "v1.2.3", "ghcr.io/you/lockstep", 1700000000}.pack()
	if err != nil {
		t.Fatal(err)
	}
	archive, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(path), archive
}

func TestTheSameChartGivesTheSameBytes(t *testing.T) {
	name, first := packed(t)
	_, second := packed(t)
	if name != "lockstep-1.2.3.tgz" || !bytes.Equal(first, second) {
		t.Errorf("got %s, and the same bytes: %t", name, bytes.Equal(first, second))
	}
}

func TestAPackedChartHasTheImageOfItsRelease(t *testing.T) {
	_, archive := packed(t)
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Raw {
		if strings.HasPrefix(f.Name, "ci/") || bytes.Contains(f.Data, []byte(exampleImage)) {
			t.Errorf("%s is packed, or names %s", f.Name, exampleImage)
		}
	}
	v, err := util.ToRenderValues(c, map[string]any{}, common.ReleaseOptions{Name: "lockstep", Namespace: "lockstep"}, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := engine.Render(c, v)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := texts["lockstep/templates/deployment.yaml"], `image: "ghcr.io/you/lockstep:v1.2.3"`; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %s in it", got, want)
	}
}

func TestAChartWithoutAVersionIsNotPacked(t *testing.T) {
	if _, err := (release{dir: "../helm/lockstep", out: t.TempDir()}).pack(); err == nil {
		t.Error("got no error")
	}
}
