package state_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"lockstep/state"
)

// An input has a field of each sort.
type input struct {
	Name    string
	Yes     bool
	Small   int8
	Count   uint16
	Share   float64
	Many    []int
	Words   []string
	Renamed string `form:"other-name"`
	unseen  string
}

// filled returns what an action is given for fields.
func filled(fields state.Fields) (in input, err error) {
	act := state.Do(func(s int, got input, _ state.Call) (int, error) {
		in = got
		return s, nil
	})
	_, err = act(0, fields, state.Call{})
	return in, err
}

func TestInputsAreFilledFromFields(t *testing.T) {
	got, err := filled(state.Fields{
		"name": {"x", "ignored"}, "yes": {"on"}, "small": {"-128"}, "count": {"65535"}, "share": {"0.5"}, "many": {"1", "-2"},
		"words": {"a", ""}, "other-name": {"y"}, "renamed": {"no"}, "unseen": {"no"}, "Name": {"no"}, "unknown": {"no"},
	})
	want := input{"x", true, -128, 65535, 0.5, []int{1, -2}, []string{"a", ""}, "y", ""}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	got, err = filled(state.Fields{"name": {}, "yes": {""}, "small": {""}, "count": nil, "share": {"1e3"}, "words": {}})
	if want := (input{Share: 1000}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got, err := filled(state.Fields{"yes": {"false"}, "share": {"-Inf"}}); err != nil || got.Yes || !math.IsInf(got.Share, -1) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAFieldThatCanNotBeReadRefusesTheOp(t *testing.T) {
	for name, value := range map[string]string{
		"yes": "perhaps", "small": "128", "count": "-1", "share": "half", "many": "1.5",
	} {
		if _, err := filled(state.Fields{name: {value}}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s: got %v, want an error with the field and the value", name, err)
		}
	}
	if _, err := filled(state.Fields{"many": {"1", "x"}}); err == nil {
		t.Error("the second of many: got no error")
	}
}

func TestAnInputThatNoFormCanFillIsAMistake(t *testing.T) {
	type noop = struct{}
	for name, do := range map[string]func(){
		"no struct": func() { state.Do(func(s int, _ int, _ state.Call) (int, error) { return s, nil }) },
		"a map": func() {
			state.Do(func(s int, _ struct{ M map[string]string }, _ state.Call) (int, error) { return s, nil })
		},
		"a pointer":   func() { state.Do(func(s int, _ struct{ P *int }, _ state.Call) (int, error) { return s, nil }) },
		"a struct":    func() { state.Do(func(s int, _ struct{ S noop }, _ state.Call) (int, error) { return s, nil }) },
		"many of one": func() { state.Do(func(s int, _ struct{ S [][]int }, _ state.Call) (int, error) { return s, nil }) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			do()
		}()
	}
}
