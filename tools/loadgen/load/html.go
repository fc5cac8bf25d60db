package load

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed report
var pages embed.FS

// WriteHTML writes one page that needs nothing else: no script, no font, no network. It follows the
// reader's light or dark colours. All that comes from the target is escaped.
func WriteHTML(w io.Writer, r *Report) error {
	t, err := template.New("report.html").Funcs(template.FuncMap{
		"grouped": grouped, "duration": duration, "short": short, "precise": precise, "bytes": bytesize, "trim": trim, "plural": plural,
		"latencyTitle": latencyTitle, "compact": compact, "more": more, "int64": func(n int) int64 { return int64(n) },
		"seconds": func(s float64) float64 { return s * 1000 },
		"float":   func(n int64) float64 { return float64(n) },
		"unless":  unless,
	}).ParseFS(pages, "report/*")
	if err != nil {
		return fmt.Errorf("load: HTML template: %w", err)
	}
	if err := t.Execute(w, newPage(r)); err != nil {
		return fmt.Errorf("load: write HTML: %w", err)
	}
	return nil
}

// Title is the outcome in a word or two.
func (p page) Title() string {
	switch p.Outcome {
	case OutcomePassed:
		return "Passed"
	case OutcomeInterrupted:
		return "Interrupted"
	case OutcomeNotJudged:
		return "Not judged"
	}
	return "Failed"
}

// Heading says the outcome as large as it can be.
func (p page) Heading() string {
	switch {
	case p.Outcome == OutcomePassed:
		return "In step"
	case p.Outcome == OutcomeNotJudged:
		return "Nothing was proved"
	case p.Broken == 0:
		return p.Title()
	}
	if p.Broken == 1 {
		return "One rule was broken"
	}
	return fmt.Sprintf("%d rules were broken", p.Broken)
}

// A page is what the template shows: a report and what is worked out from it.
type page struct {
	*Report
	Outcome Outcome
	Broken  int // verdicts and thresholds that failed
	Date    string
	Figures []figure
	Charts  []chart
	Rows    []latencyRow
	Stages  []stageRow
	Causes  []string
}

// A figure is one large number.
type figure struct{ Label, Value, Note string }

// A stageRow is a stage as the page has it.
type stageRow struct {
	StageReport
	Rate, DeliveryRate float64 // a second
	Own, All           Latency
}

func stageRows(r *Report) (rows []stageRow) {
	for _, s := range stagesToShow(r) {
		rows = append(rows, stageRow{s, s.perSecond(s.Clicks), s.perSecond(s.Deliveries), s.Latencies[LatencyOwn], s.Latencies[LatencyAll]})
	}
	return rows
}

type latencyRow struct {
	Name string
	Latency
}

func newPage(r *Report) page {
	return page{
		Report: r, Outcome: OutcomeOf(r), Broken: len(failures(r)),
		Date:    r.Started.UTC().Format("2 January 2006, 15:04 ") + time.UTC.String(),
		Figures: figures(r), Charts: charts(r), Rows: latencyRows(r), Stages: stageRows(r), Causes: errorLines(r),
	}
}

func figures(r *Report) []figure {
	all := r.Latencies[LatencyAll]
	return []figure{
		{"Last tab, p99", all.figure(all.P99), "from click; median " + all.figure(all.P50)},
		{"Clicks a second", short(rate(r, r.Totals.Sent)), grouped(r.Totals.Acked) + " acknowledged"},
		{"Deliveries a second", compact(rate(r, r.Totals.Deliveries)), bytesize(rate(r, r.Totals.Bytes)) + "/s"},
		{"All tabs equal after", unless(r.Totals.Acked == 0 && r.Converge >= 0, duration(r.Converge)), "from the last click"},
	}
}

// unless is s, or a dash if there is nothing to say.
func unless(nothing bool, s string) string {
	if nothing {
		return "–"
	}
	return s
}

func latencyRows(r *Report) []latencyRow {
	var rows []latencyRow
	for _, name := range latencyNames() {
		if s := r.Latencies[name]; s.Count > 0 {
			rows = append(rows, latencyRow{name, s})
		}
	}
	return rows
}
