package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-playground/form/v4"
)

// Fields are the input of an action: the names of a form's fields, and their
// values. On the wire they are a JSON object of strings and of arrays of
// strings.
type Fields map[string][]string

// Get returns the first value of a field, or nothing.
func (f Fields) Get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// UnmarshalJSON implements json.Unmarshaler. A number or a boolean is taken as
// its text.
func (f *Fields) UnmarshalJSON(raw []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	*f = make(Fields, len(object))
	for name, value := range object {
		values, err := readValues(value)
		if err != nil {
			return err
		}
		(*f)[name] = values
	}
	return nil
}

// MarshalJSON implements json.Marshaler: a field with one value is a string.
func (f Fields) MarshalJSON() ([]byte, error) {
	object := make(map[string]any, len(f))
	for name, values := range f {
		if object[name] = values; len(values) == 1 {
			object[name] = values[0]
		}
	}
	return json.Marshal(object)
}

var errField = errors.New("state: a field is a string, or an array of strings")

func readValues(raw json.RawMessage) ([]string, error) {
	var many []json.RawMessage
	if json.Unmarshal(raw, &many) != nil || many == nil {
		one, err := readValue(raw)
		return []string{one}, err
	}
	values := make([]string, len(many))
	for i := range many {
		var err error
		if values[i], err = readValue(many[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func readValue(raw json.RawMessage) (s string, err error) {
	switch raw[0] {
	case '"':
		err = json.Unmarshal(raw, &s)
		return s, err
	case '{', '[', 'n':
		return "", errField
	}
	return string(raw), nil
}

// A fieldDecoder fills structs from fields.
type fieldDecoder struct{ form *form.Decoder }

func newFieldDecoder() fieldDecoder {
	d := form.NewDecoder()
	d.SetMaxArraySize(256)
	d.RegisterTagNameFunc(func(field reflect.StructField) string {
		if name := field.Tag.Get("form"); name != "" {
			return name
		}
		return strings.ToLower(field.Name[:1]) + field.Name[1:]
	})
	return fieldDecoder{d}
}

// decode fills what v points to. Its error is for the person who has filled in
// the form.
func (d fieldDecoder) decode(v any, f Fields) error {
	err := d.form.Decode(v, map[string][]string(f))
	var fields form.DecodeErrors
	if errors.As(err, &fields) {
		for name := range fields {
			return fmt.Errorf("%q is not what %s can be", f.Get(name), name)
		}
	}
	return err
}
