package components

import (
	"math"
	"strconv"
	"strings"
)

// A plot of a chart is 100 wide and 100 high, whatever its size on a screen: lines keep their
// width, and words stand beside it, in HTML, in the size of text.

// A scale is the part of the numbers that a chart shows, from bottom to top, with ticks that people
// like.
type scale struct{ low, high, step float64 }

// scaleOf returns a scale with about n ticks that has all values, and 0. What is no number that can
// be drawn is left out.
func scaleOf(n int, values ...float64) scale {
	low, high := 0.0, 0.0
	for _, v := range values {
		if !finite(v) {
			continue
		}
		low, high = min(low, v), max(high, v)
	}
	if high-low < 1/most {
		low, high = 0, 1
	}
	step := niceStep((high - low) / float64(n))
	return scale{math.Floor(low/step) * step, math.Ceil(high/step) * step, step}
}

// niceStep is the smallest of 1, 2, 2.5 and 5 times a power of ten that is not less than about.
func niceStep(about float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(about)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= about*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// most is the largest number that can be drawn, so that none of what is reckoned with it is
// infinite.
const most = 1e300

func finite(v float64) bool { return math.Abs(v) <= most }

// ticks are the numbers that stand beside a chart, from the bottom.
func (s scale) ticks() (all []float64) {
	n := int(math.Round((s.high - s.low) / s.step))
	for i := range n + 1 {
		v := s.low + float64(i)*s.step
		if math.Abs(v) < s.step/1e6 {
			v = 0
		}
		all = append(all, v)
	}
	return all
}

// y is where a value is, from the top.
func (s scale) y(v float64) float64 {
	return 100 * (s.high - v) / (s.high - s.low)
}

// short is a number in few letters: 1200 is 1.2k.
func short(v float64) string {
	a, unit := math.Abs(v), ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if a < 999.5 {
			break
		}
		a, unit = a/1000, u
	}
	if a >= 1e6 {
		return minus(strconv.FormatFloat(v, 'g', 3, 64))
	}
	return minus(strconv.FormatFloat(math.Copysign(threeDigits(a), v), 'f', -1, 64)) + unit
}

// threeDigits rounds to three digits that count.
func threeDigits(v float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return rounded
}

// minus puts a real minus into a number.
func minus(number string) string { return strings.Replace(number, "-", "−", 1) }

// number is a number for programs, with four digits behind the point at most.
func number(v float64) string {
	if !finite(v) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(v*1e4)/1e4, 'f', -1, 64)
}

// percent is a length in a plot.
func percent(v float64) string { return number(v) + "%" }

// grouped is a whole number with its thousands set apart.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// path is the line through values that are evenly apart, as SVG has it. Where a value is no finite
// number, the line has a gap; a value between two gaps is a dot.
func (s scale) path(values []float64) string {
	var b strings.Builder
	drawn := false
	for i, v := range values {
		if !finite(v) {
			drawn = false
			continue
		}
		command := "L"
		if !drawn {
			command = "M"
		}
		at := number(across(i, len(values))) + " " + number(s.y(v))
		b.WriteString(command + at)
		if !drawn && (i+1 == len(values) || !finite(values[i+1])) {
			b.WriteString("L" + at)
		}
		drawn = true
	}
	return b.String()
}

// area is what is between the line through values and 0. With gaps there is none.
func (s scale) area(values []float64) string {
	for _, v := range values {
		if !finite(v) {
			return ""
		}
	}
	if len(values) < 2 {
		return ""
	}
	zero := number(s.y(0))
	return s.path(values) + "L100 " + zero + "L0 " + zero + "Z"
}

// across is where the i-th of n is that are evenly apart.
func across(i, n int) float64 {
	if n < 2 {
		return 50
	}
	return 100 * float64(i) / float64(n-1)
}

// bar is where a bar begins, from the top, and how high it is.
func (s scale) bar(v float64) (top, height float64) {
	if !finite(v) {
		return s.y(0), 0
	}
	return s.y(max(v, 0)), math.Abs(s.y(v) - s.y(0))
}
