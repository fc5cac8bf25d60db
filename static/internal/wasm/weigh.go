package wasm

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Weight is how many bytes of code a package has in a program.
type Weight struct {
	Package string
	Bytes   int
}

// The sections of a WebAssembly module that matter here (core specification, §5.5 and §7.4).
const (
	sectionCustom = 0
	sectionImport = 2
	sectionCode   = 10

	nameFunctions = 1
)

var errNotWasm = errors.New("wasm: not a module with names: build it without -s -w")

// Weigh returns the code of a module by package, heaviest first, and last what
// is no code at all. The module must have its names (no -s -w); packages are the
// import paths of what it was made of. Code of none of them, which the linker
// made itself, is "(linker)".
func Weigh(module []byte, packages []string) ([]Weight, error) {
	m, err := parseModule(module)
	if err != nil {
		return nil, err
	}
	paths := newPaths(packages)
	sums := make(map[string]int)
	code := 0
	for i, size := range m.sizes {
		sums[paths.of(m.names[m.imports+i])] += size
		code += size
	}
	var all []Weight
	for name, n := range sums {
		all = append(all, Weight{name, n})
	}
	slices.SortFunc(all, func(a, b Weight) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Package, b.Package))
	})
	return append(all, Weight{"(data)", len(module) - code - m.nameBytes}), nil
}

// paths finds the import path in a symbol, in which the linker replaces what is
// neither a letter nor a digit nor a dot: "net_http.HandlerFunc.ServeHTTP".
type paths map[string]string // by how they begin a symbol

func newPaths(packages []string) paths {
	ps := make(paths)
	for _, p := range packages {
		ps[strings.Map(func(r rune) rune {
			if r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
				return r
			}
			return '_'
		}, p)] = p
	}
	return ps
}

// of returns the longest import path that symbol begins with.
func (ps paths) of(symbol string) string {
	for end := strings.LastIndexByte(symbol, '.'); end > 0; end = strings.LastIndexByte(symbol[:end], '.') {
		if p, ok := ps[symbol[:end]]; ok {
			return p
		}
	}
	return "(linker)"
}

type parsed struct {
	imports   int // functions that are imported come first in the numbering
	sizes     []int
	names     map[int]string
	nameBytes int
}

// A cursor reads the binary format; err keeps the first mistake.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) uint() int {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > 1<<31 {
		c.err, c.b = errNotWasm, nil
		return 0
	}
	c.b = c.b[n:]
	return int(v)
}

func (c *cursor) bytes(n int) []byte {
	if n > len(c.b) {
		c.err, c.b = errNotWasm, nil
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) byte() byte {
	if p := c.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

func parseModule(module []byte) (m parsed, err error) {
	if len(module) < 8 || string(module[:4]) != "\x00asm" {
		return m, errNotWasm
	}
	c := cursor{b: module[8:]}
	for len(c.b) > 0 && c.err == nil {
		id := c.byte()
		body := cursor{b: c.bytes(c.uint())}
		switch id {
		case sectionImport:
			m.imports = body.functionImports()
		case sectionCode:
			for range body.uint() {
				n := body.uint()
				body.bytes(n)
				m.sizes = append(m.sizes, n)
			}
		case sectionCustom:
			if size := len(body.b); string(body.bytes(body.uint())) == "name" {
				m.nameBytes = size
				m.names = body.functionNames()
			}
		}
		c.err = cmp.Or(c.err, body.err)
	}
	if c.err != nil {
		return m, c.err
	}
	if len(m.names) == 0 {
		return m, errNotWasm
	}
	return m, nil
}

// functionImports counts the imports, which Go makes functions only.
func (c *cursor) functionImports() (n int) {
	for range c.uint() {
		c.bytes(c.uint()) // module
		c.bytes(c.uint()) // name
		if kind := c.byte(); kind != 0 {
			c.err = fmt.Errorf("wasm: an import of kind %d, which Go does not make", kind)
			return n
		}
		c.uint() // type
		n++
	}
	return n
}

func (c *cursor) functionNames() map[int]string {
	names := make(map[int]string)
	for len(c.b) > 0 && c.err == nil {
		kind := c.byte()
		sub := cursor{b: c.bytes(c.uint())}
		if kind != nameFunctions {
			continue
		}
		for range sub.uint() {
			i := sub.uint()
			names[i] = string(sub.bytes(sub.uint()))
		}
		c.err = cmp.Or(c.err, sub.err)
	}
	return names
}
