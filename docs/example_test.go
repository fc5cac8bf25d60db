package docs_test

import (
	"fmt"
	"strings"

	"lockstep/docs"
)

func Example() {
	text, err := docs.Read(docs.Index)
	if err != nil {
		fmt.Println(err)
		return
	}
	title, _, _ := strings.Cut(string(text), "\n")
	fmt.Println(title)
	// Output: # The book
}
