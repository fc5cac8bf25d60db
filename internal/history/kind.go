package history

import (
	"fmt"
	"strconv"
	"strings"
)

// An ID names an op among all of its topic: a page load counts its ops there from
// 1.
type ID struct {
	Client string
	Seq    uint64
}

func (id ID) String() string { return id.Client + "/" + strconv.FormatUint(id.Seq, 10) }

// An Op is what a person did once.
type Op struct {
	ID
	User string            // the person
	Do   string            // the action
	In   map[string]string // what was filled in; nil: nothing
}

// A Kind is a kind of state: it says what may come of ops. What has happened is
// what its topics show, as texts that are equal if what they show is: "" is a
// topic that was never written.
type Kind interface {
	// Begin returns the ledger of a topic that shows a value, or an error if none
	// of its topics can.
	Begin(value string) (Ledger, error)
}

// A Ledger is a topic with what is known to have been applied since its
// beginning. Its memory grows with people and accounts, not with ops. It must not
// be used concurrently.
type Ledger interface {
	// Apply notes that an op was applied, which it does not keep.
	Apply(op *Op)
	// Check says why the topic can't show a value; nil: it can, as far as that can
	// be told. All that Apply noted is in it, may of these ops are, and nothing
	// else is; each counts once, and those of a client in the order of their seqs.
	Check(value string, may []*Op) error
}

// A Joiner is a kind whose tabs may show parts of what there is: the values of one
// version need not be equal.
type Joiner interface {
	Kind
	// Join returns what two values of one version say together, or why there can't
	// be both: of the second.
	Join(a, b string) (string, error)
}

// A Follower is a kind that says more of a value if it knows the one before: what
// came of ops in their order.
type Follower interface {
	Kind
	// Follow returns the trail of a topic that shows a value, or an error if none of
	// its topics can.
	Follow(value string) (Trail, error)
}

// A Trail is a topic from version to version. It must not be used concurrently.
type Trail interface {
	// Next goes on to a value that is shown later, and says why it can't be: all of
	// must and some of may have led to it, those of a client in the order of their
	// seqs, and nothing else. Not known: there were too many ways to tell.
	Next(value string, must, may []*Op) (known bool, err error)
}

// Counters is the kind of numbers that can be incremented, decremented and reset:
// the value is the number.
func Counters() Kind { return counters{} }

// CounterValue is what a counter shows.
func CounterValue(n int64) string { return strconv.FormatInt(n, 10) }

type counters struct{}

// Begin implements Kind.
func (counters) Begin(value string) (Ledger, error) {
	n, err := readCount(value)
	return &count{before: n, n: n}, err
}

func readCount(value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no count", value)
	}
	return n, nil
}

// A count is the ledger of a counter.
type count struct {
	before, n int64
	reset     bool   // n does not follow from what was applied
	strange   string // an action that none is, and was applied
}

// Apply implements Ledger.
func (c *count) Apply(op *Op) {
	by, ok := amountOf(op)
	switch {
	case op.Do == "reset":
		c.reset = true
	case !ok:
		c.strange = op.Do
	}
	c.n += by
}

// amountOf is what an op adds; false: nothing is known of that.
func amountOf(op *Op) (by int64, ok bool) {
	switch op.Do {
	case "increment":
		return 1, true
	case "decrement":
		return -1, true
	}
	return 0, false
}

// Check implements Ledger. After a reset it has nothing to go by.
func (c *count) Check(value string, may []*Op) error {
	n, err := readCount(value)
	switch {
	case err != nil:
		return err
	case c.strange != "":
		return fmt.Errorf("has done %q, which can't be done", c.strange)
	}
	least, most := c.n, c.n
	for _, op := range may {
		by, _ := amountOf(op)
		least, most = least+min(by, 0), most+max(by, 0)
		if op.Do == "reset" {
			return nil
		}
	}
	if !c.reset && (n < least || n > most) {
		return fmt.Errorf("has counted %d; what was acknowledged and sent allows %s", n-c.before, span(least-c.before, most-c.before))
	}
	return nil
}

// span is a range for people.
func span(least, most int64) string {
	if least == most {
		return fmt.Sprintf("%d", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// words are the parts of a value.
func words(value string) []string { return strings.Fields(value) }
