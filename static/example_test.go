package static_test

import (
	"fmt"
	"path"

	"lockstep/static"
)

// Files of an application beside those of the kit: each has the hash of its content in its name.
func ExampleNewWith() {
	assets, err := static.NewWith(map[string]string{"shop.css": "body { margin: 0 }"})
	if err != nil {
		fmt.Println(err)
		return
	}
	url := assets.URL("shop.css")
	hashed, _ := path.Match("/static/shop.??????????.css", url)
	file, ok := assets.Open(url, "gzip, br") // what the request accepts
	fmt.Println(hashed, ok, file.Name, file.ContentType)
	// Output: true true shop.css text/css; charset=utf-8
}
