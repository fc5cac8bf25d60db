// Command licences reads a bill of materials (CycloneDX, JSON) and fails when a
// part of the program has a licence that is not on the list, or none. Its one
// argument is the path of the root module of this tree: the modules below it
// have the root's licence. "make vuln" runs it.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// allowed reports whether a program with parts of this licence may be passed
// on with no more than their texts. The detector calls the licence of Go's own
// modules BSD-Source-Code, and ISC often 0BSD.
func allowed(licence string) bool {
	return slices.Contains([]string{
		"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-Source-Code", "ISC", "MIT",
	}, licence)
}

// A bill is what matters here of the format.
type bill struct {
	Components []component `json:"components"`
}

type component struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Licences []licence `json:"licenses"`
	Evidence struct {
		Licences []licence `json:"licenses"`
	} `json:"evidence"`
}

type licence struct {
	License struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"license"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "licences: the path of the root module is the one argument")
		os.Exit(2)
	}
	n, err := check(os.Stdin, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
	fmt.Printf("licences: %d modules, all allowed\n", n)
}

// check reads a bill, and returns how many modules it has. The error names
// those that can't be passed on; modules below root are not looked at.
func check(r io.Reader, root string) (n int, err error) {
	var b bill
	if err := json.NewDecoder(r).Decode(&b); err != nil {
		return 0, err
	}
	if len(b.Components) == 0 {
		return 0, fmt.Errorf("the bill is empty")
	}
	var bad []string
	for _, c := range b.Components {
		if strings.HasPrefix(c.Name, root+"/") {
			continue
		}
		if complaint := c.check(); complaint != "" {
			bad = append(bad, c.Name+" "+c.Version+": "+complaint)
		}
	}
	if len(bad) > 0 {
		return 0, fmt.Errorf("not on the list:\n  %s", strings.Join(bad, "\n  "))
	}
	return len(b.Components), nil
}

func (c component) check() string {
	all := append(slices.Clone(c.Licences), c.Evidence.Licences...)
	if c.Name == "std" { // Go's own, BSD-3-Clause: the detector does not look there
		return ""
	}
	if len(all) == 0 {
		return "no licence was found"
	}
	for _, l := range all {
		if id := l.License.ID; !allowed(id) {
			return id + l.License.Name
		}
	}
	return ""
}
