package upload_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"lockstep/upload"
)

// A stored is where an application keeps a file.
type stored struct{ strings.Builder }

func (s *stored) Close() error {
	fmt.Println("stored:", s)
	return nil
}

// Files arrive in a folder, and go to a writer of the application's when they are complete.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "uploads")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	files, err := upload.New(dir, &upload.Options{
		MaxSize: 1 << 20,
		Sink: func(_ context.Context, f upload.File) (io.WriteCloser, error) {
			fmt.Println(f.Name, f.Size, f.Type)
			return new(stored), nil
		},
	})
	if err != nil {
		panic(err)
	}

	// What a client does; a browser has static/upload.js, and other programs a client of tus.
	ask := func(method, path, body string, header http.Header) http.Header {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header = header
		r.Header.Set("Tus-Resumable", "1.0.0")
		w := httptest.NewRecorder()
		files.ServeHTTP(w, r)
		return w.Result().Header
	}
	made := ask("POST", "/uploads/", "", http.Header{"Upload-Length": {"10"}, "Upload-Metadata": {"filename aGkudHh0"}})
	for _, piece := range []string{"hello", "world"} {
		at := ask("HEAD", "/uploads/"+made.Get("Location"), "", http.Header{}).Get("Upload-Offset")
		ask("PATCH", "/uploads/"+made.Get("Location"), piece, http.Header{
			"Upload-Offset": {at}, "Content-Type": {"application/offset+octet-stream"},
		})
	}
	// Output:
	// hi.txt 10 text/plain; charset=utf-8
	// stored: helloworld
}
