package flags

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A value is that of a flag, with errors for people.
type value struct {
	flag.Value
	name string
	set  *Grouped
}

// explain has the values of all flags explain what is wrong with a word.
func (s *Grouped) explain() {
	if s.explained {
		return
	}
	s.explained = true
	s.VisitAll(func(f *flag.Flag) { f.Value = value{f.Value, f.Name, s} })
}

// IsBoolFlag has package flag take the flag for a switch, if it is one.
func (v value) IsBoolFlag() bool {
	b, ok := v.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Set implements flag.Value.
func (v value) Set(word string) error {
	err := v.why(word)
	v.set.failed = nil
	if err != nil {
		v.set.failed = &failure{v.name, err}
	}
	return err
}

func (v value) why(word string) error {
	if name := v.set.flagOf(word); name != "" {
		return fmt.Errorf("it has no value: the next word is the flag -%s", name)
	}
	err := v.Value.Set(word)
	if err == nil || v.set.secrets[v.name] {
		return err
	}
	getter, ok := v.Value.(flag.Getter)
	if !ok {
		return fmt.Errorf("%q: %w", word, err)
	}
	if err.Error() == "value out of range" {
		return fmt.Errorf("%q is too large", word)
	}
	switch getter.Get().(type) {
	case time.Duration:
		return fmt.Errorf("%q %s", word, noDuration(word))
	case uint, uint64:
		if strings.HasPrefix(word, "-") {
			return fmt.Errorf("%q is less than 0", word)
		}
		return fmt.Errorf("%q is not a whole number%s", word, meantNumber(word))
	case int, int64:
		return fmt.Errorf("%q is not a whole number%s", word, meantNumber(word))
	case float64:
		return fmt.Errorf("%q is not a number%s", word, meantFraction(word))
	case bool:
		return fmt.Errorf("%q is neither true nor false", word)
	}
	return fmt.Errorf("%q: %w", word, err)
}

// flagOf is the flag that a word is, or "".
func (s *Grouped) flagOf(word string) string {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(word, "-"), "-")
	if !ok {
		rest, ok = strings.CutPrefix(word, "-")
	}
	name, _, _ := strings.Cut(rest, "=")
	if !ok || s.Lookup(name) == nil {
		return ""
	}
	return name
}

// noDuration says why a word is no duration, and what is meant by it, as far as that can be known.
func noDuration(word string) string {
	plain := strings.ToLower(strings.Join(strings.Fields(word), ""))
	number, unit := plain, ""
	if i := strings.IndexFunc(plain, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		number, unit = plain[:i], plain[i:]
	}
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
	case unit == "":
		return "has no unit: did you mean " + number + "s?"
	case unit == "d" || strings.HasPrefix(unit, "day"):
		return fmt.Sprintf("is no duration: did you mean %gh?", n*24)
	default:
		for _, short := range []string{"ms", "milli", "s", "m", "h"} {
			if !strings.HasPrefix(unit, short) {
				continue
			}
			meant := number + strings.Replace(short, "milli", "ms", 1)
			if _, err := time.ParseDuration(meant); err == nil {
				return "is no duration: did you mean " + meant + "?"
			}
		}
	}
	return "is no duration such as 250ms, 1.5s, 2m or 1h"
}

// meantNumber says which whole number is meant by a word, or nothing.
func meantNumber(word string) string {
	plain := strings.NewReplacer(",", "", "'", "", " ", "").Replace(strings.ToLower(word))
	for suffix, factor := range map[string]float64{"k": 1e3, "m": 1e6, "": 1} {
		n, err := strconv.ParseFloat(strings.TrimSuffix(plain, suffix), 64)
		if n *= factor; err == nil && strings.HasSuffix(plain, suffix) && n == float64(int64(n)) && n < 1e15 && n > -1e15 {
			return fmt.Sprintf(": did you mean %d?", int64(n))
		}
	}
	return ""
}

// meantFraction says which number is meant by a word, or nothing.
func meantFraction(word string) string {
	plain := strings.TrimSpace(word)
	if percent, ok := strings.CutSuffix(plain, "%"); ok {
		if n, err := strconv.ParseFloat(strings.TrimSpace(percent), 64); err == nil {
			return fmt.Sprintf(": did you mean %g?", n/100)
		}
	}
	plain = strings.Replace(plain, ",", ".", 1)
	if n, err := strconv.ParseFloat(plain, 64); err == nil {
		return fmt.Sprintf(": did you mean %g?", n)
	}
	return ""
}

// didYouMean names the flag that is most like one that does not exist, if any is.
func (s *Grouped) didYouMean(wrong string) string {
	plain := strings.ReplaceAll(strings.ToLower(wrong), "_", "-")
	best, least := "", max(1, len(plain)/3)+1
	s.VisitAll(func(f *flag.Flag) {
		d := distance(plain, f.Name)
		if strings.HasPrefix(f.Name, plain) || strings.HasPrefix(plain, f.Name) && len(f.Name) > 2 {
			d = min(d, 1)
		}
		if d < least {
			best, least = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return ": did you mean -" + best + "?"
}

// distance is how many letters have to be put in, taken out, changed, or swapped with the next, to
// make b of a.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row
		row = make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before = last
	}
	return row[len(b)]
}
