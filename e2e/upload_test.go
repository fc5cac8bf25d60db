package e2e_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// photo writes a picture of some megabytes that can't be made smaller, and returns its path.
func photo(t *testing.T) string {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 900, 900))
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range picture.Pix {
		picture.Pix[i] = byte(rnd.Uint32())
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return written(t, "me.png", b.Bytes())
}

func written(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *page) choose(file string) {
	p.t.Helper()
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#field-picture"), []string{file}))
}

// sent waits until so many percent of a file are, at least.
func (p *page) sent(percent int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d %% of the file to be sent", percent), func() error {
		got := p.evaluate(`String(document.querySelector('.sending').hidden ? -1 : document.querySelector('.sending progress').value)`)
		if n, err := strconv.ParseFloat(got, 64); err != nil || int(n) < percent {
			return fmt.Errorf("it is at %s; the page shows %+v", got, p.signup())
		}
		return nil
	})
}

// shown waits until a page has loaded the picture of an account.
func (p *page) shown(name string) {
	p.t.Helper()
	eventually(p.t, "the picture of "+name, func() error {
		got := p.evaluate(`String(document.querySelector('.people li[data-name="` + name + `"] img')?.naturalWidth)`)
		if got != "900" {
			return fmt.Errorf("it is %s pixels wide", got)
		}
		return nil
	})
}

// uploads are the files that a server has, complete or not.
func uploads(t *testing.T, p *process) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(p.dir, "data", "uploads", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAPictureArrivesThoughTheServerIsKilled, between two pieces; and the sign-up has it.
func TestAPictureArrivesThoughTheServerIsKilled(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	tab, other := visit(t, browser, "http://"+proxy.Addr+signupIn), visit(t, browser, p.url+signupIn)
	tab.fillIn("name", "Ada", "email", ada, "team", "s")
	proxy.Delay(50 * time.Millisecond)
	tab.choose(photo(t))
	tab.sent(10)
	tab.click("signup")
	tab.showsSignup("that the form waits for it", func(s signupState) bool { return strings.Contains(s.errors["picture"], "still being sent") })
	p.kill()
	p.restart()
	tab.sent(100)
	proxy.Delay(0)
	tab.showsSignup("the id of the file", func(s signupState) bool { return len(s.form["picture"]) == 26 })
	tab.isLive()
	tab.click("signup")
	tab.showsSignup("the account", func(s signupState) bool { return has("Ada")(s) && isNew(s) && s.form["picture"] == "" })
	tab.shown("Ada")
	other.shown("Ada")
	if got := uploads(t, p); len(got) != 1 {
		t.Errorf("got the files %q, want one", got)
	}
}

// TestAPictureGoesOnAfterAReload, when the person chooses it again: a page may not open it by
// itself.
func TestAPictureGoesOnAfterAReload(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	tab := visit(t, newBrowser(t), "http://"+proxy.Addr+signupIn)
	tab.fillIn("name", "Ada", "email", ada, "team", "s")
	file := photo(t)
	proxy.Delay(50 * time.Millisecond)
	tab.choose(file)
	tab.sent(10)
	tab.reload()
	proxy.Delay(0)
	tab.showsSignup("that it wants the file again", func(s signupState) bool {
		return strings.Contains(s.errors["picture"], "Choose “me.png” again") && s.form["name"] == "Ada"
	})
	tab.choose(file)
	tab.sent(100)
	tab.showsSignup("the id of the file", func(s signupState) bool { return len(s.form["picture"]) == 26 })
	id := tab.signup().form["picture"]
	tab.reload() // which does not send it once more
	tab.showsSignup("the id of the file after a reload", func(s signupState) bool { return s.form["picture"] == id && len(s.errors) == 0 })
	if got := uploads(t, p); len(got) != 1 {
		t.Errorf("got the files %q, want one", got)
	}
	tab.isLive()
	tab.click("signup")
	tab.shown("Ada")
}

// TestAFileThatIsNotTakenSaysWhy beside its field, and the form goes without it.
func TestAFileThatIsNotTakenSaysWhy(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := visit(t, newBrowser(t), p.url+signupIn)
	for what, file := range map[string]string{
		"not a kind of file": written(t, "me.png", []byte("<html><script>alert(1)</script>")),
		"5 MB at most":       written(t, "large.png", make([]byte, 6<<20)),
	} {
		tab.choose(file)
		tab.showsSignup(what, func(s signupState) bool {
			return strings.Contains(s.errors["picture"], what) && s.form["picture"] == ""
		})
		// What is typed elsewhere is checked, and the check knows of no file.
		tab.fillIn("email", "x")
		tab.showsSignup("both errors", func(s signupState) bool {
			return s.errors["email"] != "" && strings.Contains(s.errors["picture"], what)
		})
		tab.fillIn("email", "\b")
		tab.showsSignup("the error of the file alone", func(s signupState) bool {
			return s.errors["email"] == "" && strings.Contains(s.errors["picture"], what)
		})
	}
	tab.fillIn("name", "Ada", "email", ada, "team", "s")
	tab.click("signup")
	tab.showsSignup("the account", func(s signupState) bool { return has("Ada")(s) && isNew(s) })
	if got := uploads(t, p); len(got) != 0 {
		t.Errorf("got the files %q", got)
	}
}
