package rest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/exitae337/orchestergo/api"
)

// maxFaults bounds the faults told of one body.
const maxFaults = 50

// decode fills v, a pointer to a struct of plain fields, from the JSON object in
// body, leaving what the body does not name. It is stricter than encoding/json:
// names must match exactly, unknown ones are faults, and all faults are found,
// each with its JSON pointer. A null is as if not given, but empties a list or map.
func decode(body []byte, v any) error {
	if !utf8.Valid(body) {
		return api.Errorf(api.BadRequest, "the body is not UTF-8")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return api.Errorf(api.BadRequest, "the body is not JSON: %s", where(body, err))
	}
	var d decoder
	d.value(raw, reflect.ValueOf(v).Elem(), "#")
	return d.err()
}

// where names the line and column of a syntax error.
func where(body []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err.Error()
	}
	before := body[:min(int(syntax.Offset), len(body))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Sprintf("line %d, column %d: %s", line, column, syntax)
}

// A decoder collects the faults of a body.
type decoder struct {
	wrong, unknown, later []api.FieldError
}

func add(to *[]api.FieldError, at, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	if cut := []rune(detail); len(cut) > 300 {
		detail = string(cut[:300]) + "…"
	}
	*to = append(*to, api.FieldError{Pointer: at, Detail: detail})
}

// err sums the faults up. A wrong type outweighs an unknown name, and that a name
// that is known but of no use yet.
func (d *decoder) err() error {
	all := slices.Concat(d.wrong, d.unknown, d.later)
	if len(all) == 0 {
		return nil
	}
	e := &api.Error{Code: api.NotSupported, Detail: "the body asks for what this version does not have"}
	if len(d.unknown) > 0 {
		e.Code, e.Detail = api.UnknownField, "the body has fields that this version does not know"
	}
	if len(d.wrong) > 0 {
		e.Code, e.Detail = api.BadRequest, "the body has fields that cannot be read"
	}
	slices.SortStableFunc(all, func(a, b api.FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	e.Fields = all[:min(len(all), maxFaults)]
	return e
}

// value decodes raw, which is valid JSON, into v; at is its pointer.
func (d *decoder) value(raw json.RawMessage, v reflect.Value, at string) {
	raw = bytes.TrimSpace(raw)
	_, isJSON := v.Addr().Interface().(json.Unmarshaler)
	_, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch kind := v.Kind(); {
	case string(raw) == "null" && kind == reflect.Pointer: // says something, in a map of pointers
	case string(raw) == "null": // in a list or map, where nothing has a default
		d.mismatch(raw, v, at)
	case isJSON || isText:
		d.leaf(raw, v, at)
	case kind == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(raw, v.Elem(), at)
	case kind == reflect.Struct:
		d.object(raw, v, at)
	case kind == reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil {
			d.mismatch(raw, v, at)
			return
		}
		list := reflect.MakeSlice(v.Type(), len(items), len(items))
		for i, item := range items {
			d.value(item, list.Index(i), at+"/"+strconv.Itoa(i))
		}
		v.Set(list)
	case kind == reflect.Map:
		items, ok := d.members(raw, at)
		if !ok {
			d.mismatch(raw, v, at)
			return
		}
		m := reflect.MakeMap(v.Type())
		for key, item := range items {
			elem := reflect.New(v.Type().Elem()).Elem()
			d.value(item, elem, at+"/"+api.PointerToken(key))
			m.SetMapIndex(reflect.ValueOf(key), elem)
		}
		v.Set(m)
	default:
		d.leaf(raw, v, at)
	}
}

// members are those of a JSON object, which raw is unless ok is false. To have one
// twice is a fault: whoever wrote it meant one of them, and nobody knows which.
func (d *decoder) members(raw json.RawMessage, at string) (items map[string]json.RawMessage, ok bool) {
	if raw[0] != '{' {
		return nil, false
	}
	items = map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.Token() // the brace; it is valid JSON, so nothing here can fail
	for dec.More() {
		name, _ := dec.Token()
		key, _ := name.(string)
		if _, twice := items[key]; twice {
			add(&d.wrong, at+"/"+api.PointerToken(key), "is given twice")
		}
		var value json.RawMessage
		_ = dec.Decode(&value)
		items[key] = value
	}
	return items, true
}

// object decodes into the fields of a struct.
func (d *decoder) object(raw json.RawMessage, v reflect.Value, at string) {
	items, ok := d.members(raw, at)
	if !ok {
		d.mismatch(raw, v, at)
		return
	}
	fields, names := map[string]int{}, []string{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = i
		names = append(names, name)
	}
	_, isJob := v.Interface().(api.Job)
	for _, key := range slices.Sorted(maps.Keys(items)) {
		i, known := fields[key]
		switch {
		case isJob && readOnly(key):
		case isJob && laterField(key):
			add(&d.later, at+"/"+api.PointerToken(key), "is not in this version%s", instead(key))
		case !known:
			add(&d.unknown, at+"/"+api.PointerToken(key), "is not a known field%s", didYouMean(key, names))
		case string(items[key]) == "null":
			empty(v.Field(i))
		default:
			d.value(items[key], v.Field(i), at+"/"+api.PointerToken(key))
		}
	}
}

// empty is what null does to a field: a list or map loses what it has, anything
// else is left as if the field were not there.
func empty(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	}
}

// leaf decodes a value that has no parts.
func (d *decoder) leaf(raw json.RawMessage, v reflect.Value, at string) {
	err := json.Unmarshal(raw, v.Addr().Interface())
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, &kind):
		d.mismatch(raw, v, at)
	default: // an unmarshaler of package api, which says what it wants
		add(&d.wrong, at, "%s", err)
	}
}

func (d *decoder) mismatch(raw json.RawMessage, v reflect.Value, at string) {
	got := "a boolean"
	switch raw[0] {
	case 'n':
		got = "null"
	case '"':
		got = "a string"
	case '{':
		got = "an object"
	case '[':
		got = "a list"
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		got = string(raw)
	}
	add(&d.wrong, at, "must be %s, not %.60s", wanted(v.Type()), got)
}

// wanted describes the JSON of a type.
func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[api.Duration]() {
		return `a duration such as "10s"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number, written in digits alone"
}

// readOnly names the fields of a job that the cluster sets. They are skipped in a
// body, so that a job that was read can be edited and sent back.
func readOnly(name string) bool {
	switch name {
	case "id", "generation", "etag", "template_hash", "created_at", "updated_at", "coordinator", "status", "durability", "plan":
		return true
	}
	return false
}

// laterField names fields that the design has and this version does not.
func laterField(name string) bool {
	switch name {
	case "constraints", "health", "project", "spread_over":
		return true
	}
	return false
}

// instead says what does in this version what a later field will.
func instead(name string) string {
	if name == "project" {
		return "; the label orch.project is the project of a job"
	}
	return ""
}
