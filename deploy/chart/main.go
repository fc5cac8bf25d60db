// Command chart packs the Helm chart for a release, as "helm package" does: with the release's
// version, the image that goes with it, and the time of its commit, so that the same commit gives
// the same bytes.
//
//	go run ./chart -version v0.8.0 -image ghcr.io/you/lockstep -time 1700000000 -out ../bin/dist
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/chart/v2/util"
)

// exampleImage is the one that the chart names in the repository.
const exampleImage = "registry.example.com/lockstep"

// A release is what the command line asks for.
type release struct {
	dir     string // of the chart
	out     string // folder for the archive
	version string // as in v0.8.0
	image   string // without a tag; empty: as it is in values.yaml
	made    int64  // the time of all files, in seconds since 1970
}

func main() {
	var r release
	flag.StringVar(&r.dir, "dir", "helm/lockstep", "`folder` of the chart")
	flag.StringVar(&r.out, "out", "../bin/dist", "`folder` for the archive")
	flag.StringVar(&r.version, "version", "", "`name` of the release, which is the tag of the image")
	flag.StringVar(&r.image, "image", "", "`name` of the image, without a tag")
	flag.Int64Var(&r.made, "time", 0, "`seconds` since 1970 that all files are dated with")
	flag.Parse()
	path, err := r.pack()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

// pack writes the archive, and returns its path.
func (r release) pack() (string, error) {
	if r.version == "" {
		return "", errors.New("-version is needed")
	}
	c, err := loader.LoadDir(r.dir)
	if err != nil {
		return "", err
	}
	c.Metadata.Version, c.Metadata.AppVersion = strings.TrimPrefix(r.version, "v"), r.version
	if r.image != "" {
		named := 0
		for _, f := range append(c.Raw, c.Files...) {
			if f.Name == "values.yaml" || f.Name == "README.md" {
				named += bytes.Count(f.Data, []byte(exampleImage))
				f.Data = bytes.ReplaceAll(f.Data, []byte(exampleImage), []byte(r.image))
			}
		}
		if named == 0 {
			return "", fmt.Errorf("%s does not name %s any more", r.dir, exampleImage)
		}
	}
	c.StampModTimes(time.Unix(r.made, 0).UTC())
	return util.Save(c, r.out)
}
