// Command site writes the documentation and the gallery of components into a folder, as files that
// any server can serve, below any address, and that a browser opens without one.
//
//	go run ./tools/site -out DIR
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path"
	"strings"

	"lockstep/components"
	"lockstep/components/gallery"
	"lockstep/docs/site"
	"lockstep/static"
)

func main() {
	out := flag.String("out", "", "the folder, which is made, or is empty")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(context.Background(), *out, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// write writes all there is.
func write(ctx context.Context, dir string, stdout io.Writer) error {
	mux := http.NewServeMux()
	paths, err := addDocs(mux)
	if err != nil {
		return err
	}
	if err := addGallery(ctx, mux); err != nil {
		return err
	}
	paths = append(paths, "/gallery/")
	if err := export(ctx, mux, dir, paths...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d pages are in %s. Any server of files can serve them:\n  cd %s && python3 -m http.server\n", len(paths), dir, dir)
	return err
}

// addDocs serves the book at /docs/, and returns the paths of its pages.
func addDocs(mux *http.ServeMux) (paths []string, err error) {
	assets, err := static.New()
	if err != nil {
		return nil, err
	}
	icon := assets.URL("favicon.svg")
	mux.HandleFunc(icon, func(w http.ResponseWriter, r *http.Request) {
		f, ok := assets.Open(r.URL.Path, "")
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", f.ContentType)
		_, _ = w.Write(f.Body)
	})
	book, err := site.New(&site.Options{
		Icon: path.Join("..", icon), Links: []components.Link{{Text: "Components", To: "../gallery/"}},
	})
	if err != nil {
		return nil, err
	}
	mux.Handle("/docs/", http.StripPrefix("/docs", book))
	for _, p := range book.Paths() {
		paths = append(paths, "/docs"+p)
	}
	return paths, nil
}

// addGallery serves the gallery at /gallery/.
func addGallery(ctx context.Context, mux *http.ServeMux) error {
	files, err := gallery.Export(ctx)
	if err != nil {
		return err
	}
	for name, text := range files {
		mux.HandleFunc("/gallery/"+strings.TrimSuffix(name, "index.html"), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	}
	return nil
}

// file is the path of the file of a page.
func file(page string) string {
	if strings.HasSuffix(page, "/") {
		return strings.TrimPrefix(page, "/") + "index.html"
	}
	return strings.TrimPrefix(page, "/") + "/index.html"
}
