// Package docs is the test of the documents: that the links, files and make
// targets which they name are there, and that prose is not too wide. It has no
// code of its own. To wrap the prose of all documents anew:
//
//	go test ./internal/docs -update
package docs
