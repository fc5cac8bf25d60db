package workload

import (
	"fmt"
	"strconv"
	"strings"
)

// A Rate is clicks a second over a stage: its parts are equally long, and within each the rate
// changes evenly. Nil: none.
type Rate []Slope

// A Slope is a rate that changes evenly.
type Slope struct {
	From float64 // clicks a second at its beginning
	To   float64 // clicks a second at its end
}

// ParseRate reads a rate: "200", "100..5000" for one that rises evenly, "100,200,400" for steps
// of equal length, and any mixture. "" is none.
func ParseRate(s string) (Rate, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var r Rate
	for part := range strings.SplitSeq(s, ",") {
		from, to, rising := strings.Cut(strings.TrimSpace(part), "..")
		if !rising {
			to = from
		}
		a, errA := strconv.ParseFloat(from, 64)
		b, errB := strconv.ParseFloat(to, 64)
		if errA != nil || errB != nil {
			return nil, fmt.Errorf("the rate %q is not clicks a second: 200, a slope 100..5000 or steps 100,200,400", part)
		}
		r = append(r, Slope{a, b})
	}
	return r, r.validate()
}

// UnmarshalText reads what ParseRate does, out of a scenario.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// MarshalText is what ParseRate reads.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String is what ParseRate reads; "" for none.
func (r Rate) String() string {
	parts := make([]string, len(r))
	for i, s := range r {
		parts[i] = strconv.FormatFloat(s.From, 'f', -1, 64)
		if s.To != s.From {
			parts[i] += ".." + strconv.FormatFloat(s.To, 'f', -1, 64)
		}
	}
	return strings.Join(parts, ",")
}

func (r Rate) validate() error {
	for _, s := range r {
		for _, v := range []float64{s.From, s.To} {
			if !(v >= 0 && v <= MaxRate) {
				return fmt.Errorf("%g clicks a second: from 0 to %d are possible", v, MaxRate)
			}
		}
	}
	return nil
}
