package load

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, digit := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return sign + b.String()
}

// short writes a number with at least three digits, and none after the point from 100 on.
func short(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return "never"
	}
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return grouped(int64(math.Round(v)))
	}
	if math.Abs(v) >= 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// precise writes a number with three digits, zeros at the end included: for columns.
func precise(v float64) string {
	switch {
	case v >= 100:
		return grouped(int64(math.Round(v)))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// duration writes ms with a unit that suits.
func duration(ms float64) string {
	switch {
	case ms < 0 || math.IsInf(ms, 0):
		return "never"
	case ms == 0:
		return "0 ms"
	case ms >= 60_000:
		return short(ms/60_000) + " min"
	case ms >= 1000:
		return short(ms/1000) + " s"
	case ms < .1:
		return short(ms*1000) + " us"
	}
	return short(ms) + " ms"
}

// compact writes 1234567 as 1.23M, for an axis or a narrow line.
func compact(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if math.Abs(v) < unit.size {
			continue
		}
		if unit.name == "k" {
			return trim(v/1000) + "k"
		}
		return trim(v/unit.size) + unit.name
	}
	return trim(v)
}

// trim writes a number with at most three digits, without zeros at the end of a fraction.
func trim(v float64) string {
	places := 2
	switch a := math.Abs(v); {
	case a >= 100:
		places = 0
	case a >= 10:
		places = 1
	}
	if places == 0 {
		return grouped(int64(math.Round(v)))
	}
	s := strconv.FormatFloat(v, 'f', places, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" { // a little less than 0, or a zero with a sign
		return "0"
	}
	return s
}

// bytesize writes bytes in decimal units.
func bytesize(b float64) string {
	switch {
	case b >= 1e9:
		return trim(b/1e9) + " GB"
	case b >= 1e6:
		return trim(b/1e6) + " MB"
	case b >= 1e3:
		return trim(b/1e3) + " kB"
	}
	return trim(b) + " B"
}

// plural is "1 tab" or "2 tabs".
func plural(n int64, one string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", one)
	}
	return fmt.Sprintf("%s %ss", grouped(n), one)
}
