// Command copy writes the copies of documents of other folders that the book has. It runs in docs.
package main

import (
	"log"
	"os"
	"path/filepath"

	"lockstep/docs"
)

func main() {
	for _, document := range docs.Outside() {
		text, err := os.ReadFile(filepath.Join("..", document))
		if err != nil {
			log.Fatal(err)
		}
		to := filepath.Join("..", docs.Copy(document))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
