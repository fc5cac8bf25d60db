// Package examples has the programs in its folders: each a live, shared page in some sixty lines.
package examples

//go:generate ../bin/templ generate -include-version=false
