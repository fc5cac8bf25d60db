package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/items"
)

// A root is the element of a page or fragment that shows its topic.
type root struct {
	topic string
	state State
	known bool    // it has a state
	parts []int64 // of a poll and a bank, in the order of the page
	items *Items  // of a list and a log
}

// root reads the element that shows the topic, and what is in it.
func (l Lockstep) root(body []byte) (r root, err error) {
	switch {
	case l.Kind.Itemized():
		return l.itemsRoot(body)
	case l.Kind == Board:
		return boardRoot(body)
	}
	attribute := map[Kind]string{Counter: "data-count", Poll: "data-votes", Bank: "data-balance"}[l.Kind]
	if !bytes.Contains(body, []byte(attribute)) {
		return root{}, fmt.Errorf("nothing has %s: is this the page of a %s?", attribute, l.Kind)
	}
	var names []string
	walk(body, func(attr map[string]string) {
		if err != nil {
			return
		}
		if attr["data-topic"] != "" && attr["data-version"] != "" && r.topic == "" {
			err = r.begin(attr)
		}
		switch value, ok := attr[attribute]; {
		case !ok || err != nil || l.Kind == Counter && r.known:
		case l.Kind == Counter && value == "":
		case l.Kind == Counter:
			r.known = true
			r.state.Count, err = strconv.ParseInt(value, 10, 64)
		default:
			if value == "" && !r.known {
				value = "0" // there is the account, or the option, and nothing is known of it
			}
			var n int64
			n, err = strconv.ParseInt(value, 10, 64)
			r.parts, names = append(r.parts, n), append(names, strings.TrimPrefix(attr["id"], "option-"))
			r.state.Count += n
		}
	})
	switch {
	case err != nil:
		return root{}, err
	case r.topic == "":
		return root{}, errors.New("nothing has data-topic and data-version")
	case l.Kind == Poll:
		r.state.Value = pollValue(names, r.parts)
	case l.Kind == Bank:
		r.state.Value = bankValue(r.parts)
	}
	return r, nil
}

// itemsRoot reads the element that shows a list or a log. A page that says in data-sum that it
// knows nothing is not known.
func (l Lockstep) itemsRoot(body []byte) (r root, err error) {
	c, err := items.Read(body, l.Kind.Items())
	if err != nil {
		return root{}, err
	}
	known := true
	walk(body, func(attr map[string]string) {
		if attr["data-topic"] != "" && attr["data-version"] != "" && r.topic == "" {
			err = errors.Join(err, r.begin(attr))
		}
		if sum, ok := attr["data-sum"]; ok && sum == "" {
			known = false
		}
	})
	if r.topic == "" {
		return root{}, errors.New("nothing has data-topic and data-version")
	}
	r.known, r.items = known, &Items{Kind: l.Kind.Items(), Epoch: r.state.Epoch, All: c.Items}
	r.state = StateOf(r.items, r.state.Epoch, r.state.Version)
	return r, err
}

// begin reads the element itself. What is not known has a sum that is empty.
func (r *root) begin(attr map[string]string) error {
	var errs [2]error
	r.topic = attr["data-topic"]
	r.known = attr["data-sum"] != ""
	r.state.Version, errs[0] = strconv.ParseUint(attr["data-version"], 10, 64)
	r.state.Epoch, errs[1] = strconv.ParseUint(attr["data-epoch"], 10, 64)
	return errors.Join(errs[:]...)
}

func pollValue(options []string, votes []int64) string {
	all := make([]string, 0, len(options))
	for i, option := range options {
		if votes[i] != 0 {
			all = append(all, option+"="+strconv.FormatInt(votes[i], 10))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func bankValue(balances []int64) string {
	all := make([]string, len(balances))
	for i, n := range balances {
		all[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(all, " ")
}
