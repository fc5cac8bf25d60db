package main

import (
	"strings"
	"testing"
)

func TestLicencesAreChecked(t *testing.T) {
	const mit = `{"name": "a", "version": "v1", "evidence": {"licenses": [{"license": {"id": "MIT"}}]}}`
	for name, tc := range map[string]struct{ components, want string }{
		"allowed":                  {mit, ""},
		"the standard library":     {mit + `, {"name": "std", "version": "go1.26"}`, ""},
		"one that is not allowed":  {mit + `, {"name": "b", "version": "v2", "evidence": {"licenses": [{"license": {"id": "AGPL-3.0-only"}}]}}`, "b v2: AGPL-3.0-only"},
		"one of two":               {`{"name": "c", "licenses": [{"license": {"id": "MIT"}}, {"license": {"id": "GPL-2.0-only"}}]}`, "c : GPL-2.0-only"},
		"a name and no identifier": {`{"name": "d", "licenses": [{"license": {"name": "Ours"}}]}`, "d : Ours"},
		"a module of this tree":    {mit + `, {"name": "tree/app/web", "version": "v0"}`, ""},
		"a namesake":               {`{"name": "tree.example/web", "version": "v0"}`, "tree.example/web v0: no licence was found"},
		"none":                     {`{"name": "e", "version": "v3"}`, "e v3: no licence was found"},
		"no modules":               {``, "the bill is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := check(strings.NewReader(`{"components": [`+tc.components+`]}`), "tree")
			got := ""
			if err != nil {
				got = err.Error()
			}
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
