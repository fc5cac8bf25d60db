//go:build !program

package static

// embedded returns the files of the program that is built in: none.
func embedded() (map[string][]byte, error) { return nil, nil }
