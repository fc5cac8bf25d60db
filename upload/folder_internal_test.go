package upload

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestADiskThatIsFullLosesNothing: what was written counts, the client is told, and goes on when
// there is room again.
func TestADiskThatIsFullLosesNothing(t *testing.T) {
	h, err := New(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path string, body string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, "/"+path, strings.NewReader(body))
		req.Header.Set("Tus-Resumable", version)
		req.Header.Set("Content-Type", pieceType)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	const file = "0123456789"
	id := do(http.MethodPost, "", "", "Upload-Length", strconv.Itoa(len(file))).Header().Get("Location")
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		h.folder.write = func(to io.Writer, from io.Reader) (int64, error) {
			n, _ := io.CopyN(to, from, 2)
			return n, full
		}
		at := do(http.MethodHead, id, "").Header().Get("Upload-Offset")
		n, _ := strconv.Atoi(at)
		w := do(http.MethodPatch, id, file[n:], "Upload-Offset", at)
		if got := w.Header().Get("Upload-Offset"); w.Code != http.StatusInsufficientStorage || got != strconv.Itoa(n+2) || !strings.Contains(w.Body.String(), "no room") {
			t.Errorf("got %d at %s: %s", w.Code, got, w.Body)
		}
	}
	h.folder.write = io.Copy
	if w := do(http.MethodPatch, id, file[4:], "Upload-Offset", "4"); w.Code != http.StatusNoContent {
		t.Errorf("got %d: %s", w.Code, w.Body)
	}
	if w := do(http.MethodGet, id, ""); w.Body.String() != file {
		t.Errorf("got %q", w.Body)
	}
}
