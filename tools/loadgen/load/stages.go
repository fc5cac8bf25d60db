package load

import (
	"fmt"
	"time"
)

// A StageReport is what happened in one stage of the plan. What tabs saw belongs to the stage in
// which they saw it: joining to the first, settling to the last.
type StageReport struct {
	Name       string             `json:"name"`       // as the plan has it; without one its number; "" if it is the only one
	At         float64            `json:"at"`         // s since Report.Started, of its ramp; that of the first is before 0
	Seconds    float64            `json:"seconds"`    // from At to the end
	Browsers   int                `json:"browsers"`   // most that were connected at once
	Clicks     int64              `json:"clicks"`     // sent
	Acked      int64              `json:"acked"`      // clicks that were acknowledged
	Refused    int64              `json:"refused"`    // clicks that were refused for good
	Deliveries int64              `json:"deliveries"` // states that arrived at tabs
	Bytes      int64              `json:"bytes"`      // received
	Reconnects int64              `json:"reconnects"` // times that a tab connected again
	Latencies  map[string]Latency `json:"latencies"`  // by name, without curves; absent: no value
}

// A stage is the part of a run that is under way.
type stage struct {
	number int
	begun  time.Duration // since the first click was due
	since  Totals        // the totals at that time
}

// moveOn ends the stages whose time is over. The last one ends with endStage.
func (r *run) moveOn(now time.Time) {
	for r.stage.number+1 < len(r.Plan.Stages) && now.Sub(r.load) >= r.stageEnd() {
		r.endStage(r.stageEnd())
		r.stage = stage{number: r.stage.number + 1, begun: r.stageEnd(), since: r.c.totals}
	}
}

// stageEnd is when the stage under way is to be over, since the first click was due.
func (r *run) stageEnd() time.Duration {
	s := r.Plan.Stages[r.stage.number]
	if r.stage.number == 0 {
		return s.Duration
	}
	return r.stage.begun + s.Ramp + s.Duration
}

// endStage adds the stage under way to the report. What the tabs see from now on is the next one's.
func (r *run) endStage(end time.Duration) {
	n, since := r.c.totals, r.stage.since
	latencies := r.c.stage.summaries()
	for name, l := range latencies {
		l.Curve = nil // the report has that of the whole run
		latencies[name] = l
	}
	r.report.Stages = append(r.report.Stages, StageReport{
		Name: r.stageName(), At: r.stage.begun.Seconds(), Seconds: max(0, (end - r.stage.begun).Seconds()), Browsers: r.c.stagePeak,
		Clicks: n.Sent - since.Sent, Acked: n.Acked - since.Acked, Refused: n.Refused - since.Refused,
		Deliveries: n.Deliveries - since.Deliveries, Bytes: n.Bytes - since.Bytes, Reconnects: n.Reconnects - since.Reconnects,
		Latencies: latencies,
	})
	r.c.stage, r.c.stagePeak = newDistributions(), 0
}

// stageName is what people know the stage under way by.
func (r *run) stageName() string {
	name := r.Plan.Stages[r.stage.number].Name
	if name == "" && len(r.Plan.Stages) > 1 {
		return fmt.Sprintf("stage %d", r.stage.number+1)
	}
	return name
}

// stagesToShow are the stages of a report, if they say more than the report does.
func stagesToShow(r *Report) []StageReport {
	if len(r.Stages) > 1 || len(r.Stages) == 1 && r.Stages[0].Name != "" {
		return r.Stages
	}
	return nil
}

// perSecond is n per second of a stage.
func (s StageReport) perSecond(n int64) float64 {
	if s.Seconds <= 0 {
		return 0
	}
	return float64(n) / s.Seconds
}
