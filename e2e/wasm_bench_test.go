package e2e_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// BenchmarkStartInTheBrowser measures how long it takes from the navigation to
// /wasm/ until the count is shown, and until htmx is connected (live): in a
// browser that has never been there (cold), and in one that has been there twice
// (warm). With the first visit it keeps the files, and with the second what it
// has compiled of them. Medians, in milliseconds.
func BenchmarkStartInTheBrowser(b *testing.B) {
	p := start(b, b.TempDir(), "-addr", address(testserver.FreePort(b)))
	browser := newBrowser(b)
	samples := make(map[string][]float64)
	visit := func(page *page, unit string) {
		page.navigate(p.url + "/wasm/")
		// It asks rarely, to leave the processor alone.
		page.evaluate(`new Promise((done) => {
			const look = () => performance.getEntriesByName('live').length ? done('') : setTimeout(look, 250);
			look();
		})`)
		for _, mark := range []string{"shown", "live"} {
			ms, err := strconv.ParseFloat(page.evaluate(`String(performance.getEntriesByName('`+mark+`')[0].startTime)`), 64)
			if err != nil {
				b.Fatal(err)
			}
			samples[unit+"-"+mark+"-ms"] = append(samples[unit+"-"+mark+"-ms"], ms)
		}
	}
	for b.Loop() {
		page := newPage(b, browser, chromedp.WithNewBrowserContext())
		visit(page, "cold")
		page.isKept()
		visit(page, "second")
		for range 3 {
			visit(page, "warm")
		}
	}
	for unit, values := range samples {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
	b.ReportMetric(0, "ns/op")
}
