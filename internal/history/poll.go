package history

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Polls is the kind of polls: a person's last vote counts, and no other. Nobody has
// voted before the first op. The value is how many vote for each option.
func Polls() Kind { return polls{} }

// PollValue is what a poll shows.
func PollValue(votes map[string]int) string {
	var all []string
	for _, option := range slices.Sorted(maps.Keys(votes)) {
		if votes[option] != 0 {
			all = append(all, option+"="+strconv.Itoa(votes[option]))
		}
	}
	return strings.Join(all, " ")
}

func readPoll(value string) (votes map[string]int, err error) {
	votes = make(map[string]int)
	for _, word := range words(value) {
		option, n, _ := strings.Cut(word, "=")
		if votes[option], err = strconv.Atoi(n); err != nil || votes[option] < 0 {
			return nil, fmt.Errorf("%q is no poll", value)
		}
	}
	return votes, nil
}

type polls struct{}

// Begin implements Kind.
func (polls) Begin(value string) (Ledger, error) {
	before, err := readPoll(value)
	return &poll{before: before, people: make(map[string]map[string]vote)}, err
}

// A poll is the ledger of one.
type poll struct {
	before map[string]int
	people map[string]map[string]vote // the last that was applied, by person and client
}

type vote struct {
	seq    uint64
	option string
}

// Apply implements Ledger.
func (p *poll) Apply(op *Op) {
	if p.people[op.User] == nil {
		p.people[op.User] = make(map[string]vote)
	}
	if last := p.people[op.User][op.Client]; op.Seq > last.seq {
		p.people[op.User][op.Client] = vote{op.Seq, optionOf(op)}
	}
}

func optionOf(op *Op) string { return op.In["option"] }

// A voter is a person's last vote, as far as it is known.
type voter struct {
	options []string // one of these
	must    bool     // there is one
}

// voters are the people who have voted, or may have.
func (p *poll) voters(may []*Op) []voter {
	all := make(map[string]*voter)
	for user, clients := range p.people {
		all[user] = &voter{must: true}
		for _, last := range clients {
			all[user].options = append(all[user].options, last.option)
		}
	}
	for _, op := range may {
		if op.Do != "vote" || op.Seq < p.people[op.User][op.Client].seq {
			continue // it came before one that counts, or never
		}
		if all[op.User] == nil {
			all[op.User] = &voter{}
		}
		all[op.User].options = append(all[op.User].options, optionOf(op))
	}
	list := make([]voter, 0, len(all))
	for _, v := range all {
		slices.Sort(v.options)
		v.options = slices.Compact(v.options)
		list = append(list, *v)
	}
	return list
}

// Check implements Ledger. A poll of many options, of which many votes are not
// known, is only checked option by option.
func (p *poll) Check(value string, may []*Op) error {
	got, err := readPoll(value)
	if err != nil {
		return err
	}
	voters := p.voters(may)
	options := p.options(got, voters)
	cast := make([]int, len(options)) // since the beginning
	for i, option := range options {
		cast[i] = got[option] - p.before[option]
	}
	if err := eachOption(options, cast, voters); err != nil {
		return err
	}
	return allOptions(options, cast, voters)
}

func (p *poll) options(got map[string]int, voters []voter) []string {
	all := slices.Concat(slices.Collect(maps.Keys(p.before)), slices.Collect(maps.Keys(got)))
	for _, v := range voters {
		all = append(all, v.options...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// eachOption compares each option with those who vote for it, or may.
func eachOption(options []string, cast []int, voters []voter) error {
	least, most := make([]int64, len(options)), make([]int64, len(options))
	for _, v := range voters {
		for _, option := range v.options {
			i, _ := slices.BinarySearch(options, option)
			most[i]++
			if v.must && len(v.options) == 1 {
				least[i]++
			}
		}
	}
	for i, option := range options {
		if n := int64(cast[i]); n < least[i] || n > most[i] {
			return fmt.Errorf("has %d votes for %s; what was acknowledged and sent allows %s", n, option, span(least[i], most[i]))
		}
	}
	return nil
}

// maxOptions bounds the sets of options that are looked at.
const maxOptions = 10

// allOptions says why the voters can't have made what was cast together. They can
// if, of each set of options, the votes are enough for those who must be among
// them, and not more than there are people for them: Hall's condition, on both
// sides. (By the theorem of Mendelsohn and Dulmage one choice then does both.)
func allOptions(options []string, cast []int, voters []voter) error {
	if len(options) > maxOptions {
		return nil
	}
	kinds := make(map[uint]int)   // voters, by the set of their options
	pledged := make(map[uint]int) // those of them that must have voted
	for _, v := range voters {
		set := uint(0)
		for _, option := range v.options {
			i, _ := slices.BinarySearch(options, option)
			set |= 1 << i
		}
		kinds[set]++
		if v.must {
			pledged[set]++
		}
	}
	for set := range uint(1) << len(options) {
		votes, people, must := 0, 0, 0
		for i := range options {
			votes += cast[i] * int(set>>i&1)
		}
		for of, n := range kinds {
			if of&set != 0 {
				people += n
			}
			if of&^set == 0 {
				must += pledged[of]
			}
		}
		if votes < must || votes > people {
			return fmt.Errorf("has %d votes for %s; of the people who voted %s chose one of these",
				votes, named(options, set), span(int64(must), int64(people)))
		}
	}
	return nil
}

func named(options []string, set uint) string {
	names := make([]string, 0, bits.OnesCount(set))
	for i, option := range options {
		if set>>i&1 == 1 {
			names = append(names, option)
		}
	}
	return strings.Join(names, ", ")
}
