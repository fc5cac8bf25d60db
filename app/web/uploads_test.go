package web_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"lockstep/serve"
	"lockstep/upload"
)

func filesOf(t *testing.T) http.Handler {
	t.Helper()
	h, err := upload.New(t.TempDir(), &upload.Options{MaxSize: 100, Types: []string{"image/png"}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func send(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

const picture = "\x89PNG\r\n\x1a\n"

func TestAPictureIsSentAndSeen(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Uploads: filesOf(t)})
	srv.Start()
	base := srv.URL
	if p := open(t, browser(t), base+"/signup/x"); !strings.Contains(p.body, `data-upload="/uploads/"`) {
		t.Error("the page takes no picture")
	}
	resp, body := send(t, "POST", base+"/uploads/", "", "Upload-Length", "8", "Sec-Fetch-Site", "same-origin")
	id := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusCreated || !upload.ValidID(id) {
		t.Fatalf("got %d to %q: %s", resp.StatusCode, id, body)
	}
	if resp, body := send(t, "PATCH", base+"/uploads/"+id, picture, "Upload-Offset", "0"); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("got %d: %s", resp.StatusCode, body)
	}
	for _, path := range []string{"/uploads/", "/signup/uploads/"} {
		resp, body := send(t, "GET", base+path+id, "")
		if resp.StatusCode != http.StatusOK || body != picture || resp.Header.Get("Content-Type") != "image/png" ||
			resp.Header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" {
			t.Errorf("%s: got %d %q %v", path, resp.StatusCode, body, resp.Header)
		}
	}
	if resp, body := send(t, "POST", base+"/uploads/", "", "Upload-Length", "101"); resp.StatusCode != http.StatusRequestEntityTooLarge ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") || !strings.Contains(body, "100 bytes at most") {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
}

// TestAPageOfAnotherSiteSendsNoFile: as text, for what a script asks.
func TestAPageOfAnotherSiteSendsNoFile(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Uploads: filesOf(t)})
	srv.Start()
	for _, method := range []string{"POST", "PATCH", "DELETE"} {
		resp, body := send(t, method, srv.URL+"/uploads/", picture, "Upload-Length", "8", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		if resp.StatusCode != http.StatusForbidden || strings.Contains(body, "<html") {
			t.Errorf("%s: got %d %q", method, resp.StatusCode, body)
		}
	}
}

func TestAnAddressBeginsSoManyFilesOnly(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Uploads: filesOf(t), Limits: serve.Limits{UploadsPerAddr: 4, Exempt: []netip.Prefix{}}})
	srv.Start()
	created := 0
	for range 8 {
		resp, body := send(t, "POST", srv.URL+"/uploads/", "", "Upload-Length", "8")
		switch resp.StatusCode {
		case http.StatusCreated:
			created++
		case http.StatusTooManyRequests:
			if resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "too many files") {
				t.Errorf("got %v %q", resp.Header, body)
			}
		default:
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
	}
	if created != 2 {
		t.Errorf("%d were begun at once, want half of four", created)
	}
}

func TestAServerWithoutAFolderTakesNoFiles(t *testing.T) {
	base, _ := serving(t)
	if resp, _ := send(t, "POST", base+"/uploads/", "", "Upload-Length", "8"); resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %d", resp.StatusCode)
	}
	if p := open(t, browser(t), base+"/signup/x"); strings.Contains(p.body, "data-upload") {
		t.Error("the page takes pictures all the same")
	}
}
