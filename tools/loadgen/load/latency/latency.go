// Package latency counts durations: how many there were of each length, with three
// significant digits, in little memory, so that many observers can be added up.
package latency

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a Distribution, in µs, and the significant digits it keeps.
const (
	shortest = 1
	longest  = 10 * 60 * 1000 * 1000
	digits   = 3
)

// A Distribution counts durations in ms, from 1 µs to 10 min with three significant
// digits (HdrHistogram). A shorter or longer one counts as the limit. It needs 200 KB
// from the first value on, however many follow. The zero value is empty and ready for
// use. Its methods must not be called concurrently.
type Distribution struct {
	h *hdrhistogram.Histogram // nil: empty
}

// A Summary is a distribution, in ms.
type Summary struct {
	Count int64        `json:"count"`
	Mean  float64      `json:"mean"`
	Min   float64      `json:"min"`
	P50   float64      `json:"p50"`
	P90   float64      `json:"p90"`
	P99   float64      `json:"p99"`
	P999  float64      `json:"p999"`
	Max   float64      `json:"max"`
	Curve []CurvePoint `json:"curve,omitempty"` // for a percentile chart, by rising quantile
}

// A CurvePoint says that a share of Quantile of all values is at most Value.
type CurvePoint struct {
	Quantile float64 `json:"q"`
	Value    float64 `json:"ms"`
}

// Add counts one value, in ms. What is no number counts as the shortest.
func (d *Distribution) Add(ms float64) {
	// Within the range RecordValue has no error.
	_ = d.histogram().RecordValue(microseconds(ms))
}

// Merge adds all values of other, which stays as it is and may be nil.
func (d *Distribution) Merge(other *Distribution) {
	if other == nil || other.h == nil {
		return
	}
	d.histogram().Merge(other.h)
}

// Summary describes the values so far. Of an empty Distribution everything is 0.
func (d *Distribution) Summary() Summary {
	if d.h == nil || d.h.TotalCount() == 0 {
		return Summary{}
	}
	at := func(percent float64) float64 { return milliseconds(d.h.ValueAtQuantile(percent)) }
	return Summary{
		Count: d.h.TotalCount(),
		Mean:  d.h.Mean() / 1000,
		Min:   milliseconds(d.h.Min()),
		P50:   at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max:   milliseconds(d.h.Max()),
		Curve: d.curve(),
	}
}

// MarshalBinary packs the values for another process: some hundred bytes as a rule.
func (d *Distribution) MarshalBinary() ([]byte, error) {
	if d.h == nil {
		return nil, nil
	}
	b, err := d.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("latency: pack a distribution: %w", err)
	}
	return b, nil
}

// UnmarshalBinary replaces the values by those that MarshalBinary packed.
func (d *Distribution) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		d.h = nil
		return nil
	}
	h, err := hdrhistogram.Decode(b)
	if err != nil {
		return fmt.Errorf("latency: unpack a distribution: %w", err)
	}
	// Of another range it would drop values when it is merged.
	d.h = nil
	d.histogram().Merge(h)
	return nil
}

func (d *Distribution) histogram() *hdrhistogram.Histogram {
	if d.h == nil {
		d.h = hdrhistogram.New(shortest, longest, digits)
	}
	return d.h
}

// curve has points that lie closer the nearer they are to the maximum: five for each
// halving of the distance.
func (d *Distribution) curve() []CurvePoint {
	var points []CurvePoint
	for _, b := range d.h.CumulativeDistributionWithTicks(5) {
		points = append(points, CurvePoint{Quantile: b.Quantile / 100, Value: milliseconds(b.ValueAt)})
	}
	return points
}

func microseconds(ms float64) int64 {
	us := ms * 1000
	if !(us > shortest) { // NaN too
		return shortest
	}
	return int64(min(us, longest) + .5)
}

func milliseconds(us int64) float64 { return float64(us) / 1000 }
