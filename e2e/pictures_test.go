package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"lockstep/app"
	"lockstep/pubsub/mempubsub"
	states "lockstep/state"
	"lockstep/state/boltstate"
)

// The pictures of README and docs: "make screenshots".

// mostColours is how many a picture has.
const mostColours = 256

// picturesDir is the folder that pictures are written into. Empty: there are to be none.
func picturesDir() string { return os.Getenv("LOCKSTEP_PICTURES") }

// A seed is what has been done before the pictures are taken.
type seed struct {
	topic, do string
	in        states.Fields
	by        string // who
	times     int
}

func seeds() []seed {
	all := []seed{{topic: "counter:lobby", do: "increment", times: 1284}}
	for i, option := range []string{"spring", "spring", "summer", "summer", "summer", "summer", "autumn", "autumn", "winter"} {
		all = append(all, seed{"poll:lunch", "vote", states.Fields{"option": {option}}, "visitor-" + strconv.Itoa(i), 1})
	}
	for _, t := range [][3]string{{"2", "1", "35"}, {"3", "1", "12"}, {"5", "4", "12"}, {"5", "8", "65"}, {"6", "9", "100"}, {"7", "12", "41"}} {
		all = append(all, seed{"bank:main", "transfer", states.Fields{"from": t[:1], "to": t[1:2], "amount": t[2:]}, "ann", 1})
	}
	return all
}

// seeded returns the path of a store in which all of that has been done.
func seeded(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data", "pictures.db")
	store, err := boltstate.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a := app.New(mempubsub.NewBus(), store, nil)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, s := range seeds() {
		client := states.Client{1, byte(i)}
		for n := range s.times {
			op := states.Op{Client: client, Seq: uint64(n + 1), From: uint64(n + 1), Do: s.do, In: s.in, User: s.by}
			answer, err := a.Do(t.Context(), app.Visitor{User: s.by}, s.topic, op)
			if err != nil || answer.Verdict != states.Ack {
				t.Fatalf("%+v: %v %v", s, answer, err)
			}
		}
	}
	if err := a.Stop(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	return path
}

// A studio is four replicas of the demo, and a browser to take pictures of them with.
type studio struct {
	t       *testing.T
	browser context.Context
	urls    [4]string // of the replicas
}

func newStudio(t *testing.T) *studio {
	t.Helper()
	s := &studio{t: t, browser: newBrowser(t)}
	port := freePorts(t, 5)
	start(t, t.TempDir(), "-addr", address(port), "-replicas", "4", "-replica", "replica", "-store", "file:"+seeded(t))
	for i := range s.urls {
		s.urls[i] = "http://" + address(port+1+i)
	}
	return s
}

// open opens a page whose window has a size, in which nothing moves. Its picture is scale times as
// large.
func (s *studio) open(url string, width, height int64, scale float64) *page {
	s.t.Helper()
	p := newPage(s.t, s.browser, chromedp.WithNewBrowserContext()) // of another person
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: scale,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	p.media("screen", "prefers-reduced-motion", "reduce")
	p.navigate(url)
	p.isLive()
	return p
}

// shots are what pages show in a scheme.
func (s *studio) shots(scheme string, pages ...*page) (all []image.Image) {
	s.t.Helper()
	for _, p := range pages {
		p.media("screen", "prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce")
		p.rest()
		all = append(all, p.window())
	}
	return all
}

// take writes a picture of what pages show beside one another, in both schemes.
func (s *studio) take(name string, pages ...*page) {
	s.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		var b bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&b, fewColours(beside(s.shots(scheme, pages...)...))); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(picturesDir(), name+"-"+scheme+".png"), b.Bytes(), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

// story takes the moving picture: two tabs of two replicas, one of which is killed, and comes back.
func (s *studio) story() {
	s.t.Helper()
	const path = "/c/kitchen"
	left, right := s.open(s.urls[0]+path, 500, 1020, small), s.open(s.urls[1]+path, 500, 1020, small)
	panel := s.open(s.urls[2]+path+"?break=1", 1000, 900, 1)
	count := func(n string, tabs ...*page) {
		for _, p := range tabs {
			p.until("to show "+n, func(st state) bool { return st.Count == n })
		}
	}
	m := &movie{studio: s, tabs: []*page{left, right}}
	left.click("increment")
	count("1", left, right)
	m.has("added 1", "3 people")
	m.frame(2 * time.Second)
	panel.clickOn(`[data-replica="1"] [data-action=kill]`)
	left.has("replica-2\ngone")
	right.until("to be cut off", func(st state) bool { return st.Status == "offline" })
	m.frame(3 * time.Second)
	left.click("increment")
	count("2", left)
	m.frame(3 * time.Second)
	right.isLive()
	count("2", left, right)
	m.has("3 people")
	for _, p := range m.tabs {
		eventually(s.t, "all replicas to have tabs", func() error {
			if got := p.evaluate(`document.querySelector('#replicas').innerText`); strings.Contains(got, "\n0 tabs") {
				return errors.New(got)
			}
			return nil
		})
	}
	m.frame(4 * time.Second)
	m.write("killed")
}

// A movie is what tabs beside one another show, one moment after the other, in both schemes.
type movie struct {
	*studio
	tabs  []*page
	light gif.GIF
	dark  gif.GIF
}

// has waits until all tabs have texts.
func (m *movie) has(texts ...string) {
	m.t.Helper()
	for _, p := range m.tabs {
		for _, text := range texts {
			p.has(text)
		}
	}
}

// frame adds what the tabs show now, for a time.
func (m *movie) frame(lasts time.Duration) {
	m.t.Helper()
	for scheme, film := range map[string]*gif.GIF{"light": &m.light, "dark": &m.dark} {
		film.Image = append(film.Image, fewColours(beside(m.shots(scheme, m.tabs...)...)))
		film.Delay = append(film.Delay, int(lasts/(10*time.Millisecond)))
	}
}

// write writes the files.
func (m *movie) write(name string) {
	m.t.Helper()
	for scheme, film := range map[string]*gif.GIF{"light": &m.light, "dark": &m.dark} {
		for i := len(film.Image) - 1; i > 0; i-- { // of each frame, what is not as before
			r := differs(film.Image[i-1], film.Image[i])
			film.Image[i] = film.Image[i].SubImage(r).(*image.Paletted)
		}
		var b bytes.Buffer
		if err := gif.EncodeAll(&b, film); err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(picturesDir(), name+"-"+scheme+".gif"), b.Bytes(), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

// differs is where two pictures of the same size differ.
func differs(a, b image.Image) (r image.Rectangle) {
	all := a.Bounds()
	for y := all.Min.Y; y < all.Max.Y; y++ {
		for x := all.Min.X; x < all.Max.X; x++ {
			if a.At(x, y) != b.At(x, y) {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if r.Empty() {
		return image.Rect(all.Min.X, all.Min.Y, all.Min.X+1, all.Min.Y+1)
	}
	return r
}

// rest takes the pointer and the focus away from what was clicked, and waits for the next frame.
func (p *page) rest() {
	p.t.Helper()
	away := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved}
	if _, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, away); err != nil {
		p.t.Fatal(err)
	}
	p.evaluate(`(document.activeElement?.blur(),
		new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done('')))))`)
}

// window is what a person sees of the page.
func (p *page) window() image.Image {
	p.t.Helper()
	var shot []byte
	p.try(func(ctx context.Context) (err error) {
		shot, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		return err
	})
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		p.t.Fatal(err)
	}
	return picture
}

// beside puts pictures of the same height beside one another, with nothing between them.
func beside(all ...image.Image) image.Image {
	const gap = 16
	if len(all) == 1 {
		return all[0]
	}
	width := -gap
	for _, picture := range all {
		width += picture.Bounds().Dx() + gap
	}
	whole := image.NewNRGBA(image.Rect(0, 0, width, all[0].Bounds().Dy()))
	at := 0
	for _, picture := range all {
		r := picture.Bounds()
		draw.Draw(whole, image.Rect(at, 0, at+r.Dx(), r.Dy()), picture, r.Min, draw.Src)
		at += r.Dx() + gap
	}
	return whole
}

// fewColours gives a picture the colours that it has most of, in coarse steps: its file is a
// fraction as large, and nobody sees the difference.
func fewColours(picture image.Image) *image.Paletted {
	r, often := picture.Bounds(), make(map[color.NRGBA]int)
	at := func(x, y int) color.NRGBA {
		c := color.NRGBAModel.Convert(picture.At(x, y)).(color.NRGBA)
		c.R, c.G, c.B = coarse(c.R), coarse(c.G), coarse(c.B)
		return c
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			often[at(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(often), func(a, b color.NRGBA) int {
		return cmp.Or(cmp.Compare(often[b], often[a]), slices.Compare([]byte{a.R, a.G, a.B, a.A}, []byte{b.R, b.G, b.B, b.A}))
	})
	var palette color.Palette
	for _, c := range colours[:min(mostColours, len(colours))] {
		palette = append(palette, c)
	}
	few, nearest := image.NewPaletted(r, palette), make(map[color.NRGBA]uint8)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := at(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			few.SetColorIndex(x, y, i)
		}
	}
	return few
}

// coarse is the nearest of 64 values of a colour: gradients have fewer steps. White stays white.
func coarse(v uint8) uint8 {
	if v >= 252 {
		return 255
	}
	return v &^ 3
}

// has waits until a page has a text.
func (p *page) has(text string) {
	p.t.Helper()
	eventually(p.t, "the page to have "+text, func() error {
		if got := p.evaluate(`document.body.innerText`); !strings.Contains(got, text) {
			return errors.New(got)
		}
		return nil
	})
}

// TestPictures takes all pictures.
func TestPictures(t *testing.T) {
	if picturesDir() == "" {
		t.Skip("LOCKSTEP_PICTURES is not set: \"make screenshots\" takes them")
	}
	s := newStudio(t)
	t.Run("the demo", func(*testing.T) { s.demo() })
	t.Run("a replica that dies", func(*testing.T) { s.story() })
	t.Run("the gallery", func(*testing.T) {
		p := s.open(s.urls[1]+"/gallery#statusbadge", 1000, 680, 1)
		s.take("gallery", p)
	})
	t.Run("an example", func(t *testing.T) {
		p := s.open(secondReplica(t, startExample(t, "kanban", 1, "-replicas", "3")[0]), 1000, 560, 1)
		for i, text := range []string{"Write the tests", "Try it on a phone", "Ask Ann about fonts"} {
			p.fillsIn(newText, text)
			for range 2 - i {
				p.clickOn("button[aria-label='Right " + text + "']")
			}
		}
		p.fillsIn(newText, "Tell everybody")
		p.showsCards("Ask Ann about fonts,Tell everybody | Try it on a phone | Write the tests")
		s.take("kanban", p)
	})
}

// small is the scale of pictures that stand beside one another: each is 714 pixels wide.
const small = .714

// secondReplica returns the address of one of several replicas behind a balancer.
func secondReplica(t *testing.T, p *process) string {
	t.Helper()
	_, port, err := net.SplitHostPort(p.addr())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address(n+2)
}

// demo takes pictures of the demo: one page as tabs of four replicas show it, and others.
func (s *studio) demo() {
	s.t.Helper()
	tabs := make([]*page, 0, 8)
	for i := range cap(tabs) {
		width, height := int64(360), int64(1290) // as four phones, which are shown together
		if i >= 4 {
			width, height = 1000, 1130
		}
		tabs = append(tabs, s.open(s.urls[i%4], width, height, 1))
	}
	for _, p := range tabs {
		p.until("to be one of eight tabs", func(st state) bool { return strings.HasPrefix(st.Tabs, "8 ") && st.Count == "1284" })
		p.has("8 people")
	}
	tabs[0].click("increment")
	for _, p := range tabs {
		p.has("added 1")
	}
	s.take("counter", tabs[5])
	s.take("tabs", tabs[:4]...)

	poll := s.open(s.urls[1]+"/poll/lunch", 1000, 640, small)
	poll.votes("summer")
	poll.has("10 votes")
	s.take("poll", poll)

	bank := s.open(s.urls[1]+"/bank/main", 1000, 640, small)
	bank.transfers(5000)
	bank.refuses("account 1 has only 147")
	s.take("bank", bank)
}
