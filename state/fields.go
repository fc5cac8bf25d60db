package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Fields are the input of an action: the names of a form's fields, and their
// values. On the wire they are a JSON object of strings and of arrays of
// strings. Nil has no fields.
type Fields map[string][]string

// Get returns the first value of a field; "" when there is none.
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

// A filler fills structs of one type from fields.
type filler struct{ names []string } // of the struct's fields; "": it is not filled

// newFiller panics when t is none that can be filled.
func newFiller(t reflect.Type) filler {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("state: the input of an action is a struct, and %s is none", t))
	}
	names := make([]string, t.NumField())
	for i := range names {
		field := t.Field(i)
		if names[i] = nameOf(field); names[i] == "" {
			continue
		}
		if kind := field.Type; !settable(kind) && (kind.Kind() != reflect.Slice || !settable(kind.Elem())) {
			panic(fmt.Sprintf("state: the field %s of %s can't be filled from a form", field.Name, t))
		}
	}
	return filler{names}
}

// fill fills what v is. Its error is for the person who has filled in the form.
func (d filler) fill(v reflect.Value, f Fields) error {
	for i, name := range d.names {
		if values := f[name]; name != "" && len(values) > 0 && !set(v.Field(i), values) {
			return fmt.Errorf("%q is not what %s can be", f.Get(name), name)
		}
	}
	return nil
}

// FieldsOf returns the fields that Do fills a struct from: in is one, or a pointer to one, or
// Fields, or nil, which has none. A value that is the zero of its type is left out. The error says
// what can't be the input of an action.
func FieldsOf(in any) (Fields, error) {
	if fields, ok := in.(Fields); ok || in == nil {
		return fields, nil
	}
	v := reflect.Indirect(reflect.ValueOf(in))
	if !v.IsValid() {
		return nil, nil
	}
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("state: the input of an action is a struct, and %T is none", in)
	}
	fields := make(Fields)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := nameOf(field)
		if name == "" || v.Field(i).IsZero() {
			continue
		}
		if kind := field.Type; !settable(kind) && (kind.Kind() != reflect.Slice || !settable(kind.Elem())) {
			return nil, fmt.Errorf("state: the field %s of %T can't be that of a form", field.Name, in)
		}
		fields[name] = textsOf(v.Field(i))
	}
	return fields, nil
}

// nameOf returns the name of a struct's field in a form; "": it has none.
func nameOf(field reflect.StructField) string {
	if !field.IsExported() {
		return ""
	}
	if name := field.Tag.Get("form"); name != "" {
		return name
	}
	return strings.ToLower(field.Name[:1]) + field.Name[1:]
}

// textsOf are the values of a field.
func textsOf(v reflect.Value) (texts []string) {
	if v.Kind() != reflect.Slice {
		return []string{fmt.Sprint(v.Interface())}
	}
	for i := range v.Len() {
		texts = append(texts, fmt.Sprint(v.Index(i).Interface()))
	}
	return texts
}

// set reports false when values can't be those of v.
func set(v reflect.Value, values []string) bool {
	if v.Kind() != reflect.Slice {
		return setOne(v, values[0])
	}
	v.Set(reflect.MakeSlice(v.Type(), len(values), len(values)))
	for i, text := range values {
		if !setOne(v.Index(i), text) {
			return false
		}
	}
	return true
}

func settable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	}
	return false
}

// setOne sets what settable allows. A text that is empty sets nothing.
func setOne(v reflect.Value, text string) bool {
	var err error
	switch {
	case text == "":
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		var yes bool
		yes, err = strconv.ParseBool(text)
		v.SetBool(yes || text == "on") // a box that is checked
		return err == nil || text == "on"
	case v.CanInt():
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	default:
		var n float64
		n, err = strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(n)
	}
	return err == nil
}
