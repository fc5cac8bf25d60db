// Package latency counts durations: how many there were of each length, with three significant
// digits, in little memory, so that many observers can be added up. It draws no conclusions.
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

// A Distribution counts durations in ms, from 1 µs to 10 min with three significant digits
// (HdrHistogram). A shorter or longer one counts as the limit. It needs 200 KB from the first value
// on, however many follow. The zero value is empty and ready for use; everything about it is 0. Its
// methods must not be called concurrently.
type Distribution struct {
	h *hdrhistogram.Histogram // nil: empty
}

// A Point says that a share of Quantile of all values is at most Value.
type Point struct {
	Quantile float64 // 0 to 1
	Value    float64 // ms
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

// Count is the number of values.
func (d *Distribution) Count() int64 {
	if d.h == nil {
		return 0
	}
	return d.h.TotalCount()
}

// Mean is the arithmetic mean, in ms.
func (d *Distribution) Mean() float64 {
	if d.Count() == 0 {
		return 0
	}
	return d.h.Mean() / 1000
}

// Min is the smallest value, in ms.
func (d *Distribution) Min() float64 {
	if d.Count() == 0 {
		return 0
	}
	return milliseconds(d.h.Min())
}

// Max is the largest value, in ms.
func (d *Distribution) Max() float64 {
	if d.Count() == 0 {
		return 0
	}
	return milliseconds(d.h.Max())
}

// At is the value, in ms, that percent of all values don't exceed; 50 is the median.
func (d *Distribution) At(percent float64) float64 {
	if d.Count() == 0 {
		return 0
	}
	return milliseconds(d.h.ValueAtQuantile(percent))
}

// Curve has points by rising quantile, for a percentile chart. They lie closer the nearer they are
// to the maximum: five for each halving of the distance. Nil: there are no values.
func (d *Distribution) Curve() []Point {
	if d.Count() == 0 {
		return nil
	}
	var points []Point
	for _, b := range d.h.CumulativeDistributionWithTicks(5) {
		points = append(points, Point{Quantile: b.Quantile / 100, Value: milliseconds(b.ValueAt)})
	}
	return points
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

func microseconds(ms float64) int64 {
	us := ms * 1000
	if !(us > shortest) { // NaN too
		return shortest
	}
	return int64(min(us, longest) + .5)
}

func milliseconds(us int64) float64 { return float64(us) / 1000 }
