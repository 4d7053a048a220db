package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// object is a JSON object of the document.
type object = map[string]any

// schemas makes the schema of each type that a request or an answer has, by
// reflection: the field that is not in the struct cannot be in the document.
type schemas struct {
	source source
	named  object // what it has made, by name
}

// required are the fields that a request must have.
var required = map[string][]string{"Job": {"name"}, "Port": {"published"}, "scaling": {"replicas"}}

// of is the schema of t. A struct of package api that is sent, not answered, has
// a schema of its own, in which nothing must be there that has a default.
func (s schemas) of(t reflect.Type, sent bool) object {
	switch t {
	case reflect.TypeFor[api.Duration]():
		return object{"type": "string", "description": s.source.types["Duration"], "example": "1m30s"}
	case reflect.TypeFor[api.CPUs]():
		return object{"type": "number", "format": "double", "description": "a number of cores, in thousandths; a request may write it as a string", "example": 0.25}
	case reflect.TypeFor[api.Bytes]():
		return object{"type": "integer", "format": "int64", "description": "bytes; a request may also write \"64MiB\"", "example": 64 << 20}
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), sent)
	case reflect.Struct:
		return s.ref(t, sent)
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem(), sent)}
	case reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem(), sent), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		if t.Name() != "" {
			return s.ref(t, sent)
		}
		return object{"type": "object", "additionalProperties": s.of(t.Elem(), sent)}
	case reflect.String:
		if t.PkgPath() != "" {
			return s.ref(t, false)
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.Int64, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Int:
		return object{"type": "integer"}
	}
	panic("openapi: no schema for " + t.String())
}

// ref names the schema of a named type, and makes it the first time.
func (s schemas) ref(t reflect.Type, sent bool) object {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if sent && strings.HasSuffix(t.PkgPath(), "/api") {
		name += "Spec"
	}
	if _, done := s.named[name]; !done {
		s.named[name] = nil // for a type within itself
		switch t.Kind() {
		case reflect.Struct:
			s.named[name] = s.structure(t, sent)
		case reflect.Map: // of words, or null
			s.named[name] = object{"type": "object", "additionalProperties": object{"type": "string", "nullable": true}}
		default:
			s.named[name] = s.words(t)
		}
		doc := s.source.types[t.Name()]
		if name == "JobSpec" {
			doc = "A job as it is submitted. What it does not name has its default; it needs a name, and an image or a command."
		}
		if doc != "" {
			s.named[name].(object)["description"] = doc
		}
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// words is the schema of a named string type, with its values if it has some.
func (s schemas) words(t reflect.Type) object {
	o := object{"type": "string"}
	if values := s.source.values[t.Name()]; len(values) > 0 {
		o["enum"] = values
	}
	return o
}

func (s schemas) structure(t reflect.Type, sent bool) object {
	o := object{"type": "object"}
	properties, must := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		owner := t
		if len(f.Index) > 1 { // of an embedded struct, all of which may be missing
			owner = t.FieldByIndex(f.Index[:1]).Type.Elem()
		}
		p := s.of(f.Type, sent)
		about := s.source.fields[owner.Name()+"."+f.Name]
		isJob := t == reflect.TypeFor[api.Job]()
		if sent && isJob && rest.ReadOnly(name) {
			p = s.of(f.Type, false)
			about = "what the cluster says; accepted and ignored"
		}
		optional := strings.HasPrefix(options, "omit") || owner != t
		_, isRef := p["$ref"]
		null := f.Type.Kind() == reflect.Pointer && !optional && !sent
		if isRef && (about != "" || null || isJob) { // nothing may stand beside a $ref
			p = object{"allOf": []any{p}}
		}
		if about != "" {
			p["description"] = about
		}
		if null {
			p["nullable"] = true
		}
		if value := reflect.ValueOf(api.NewJob()); sent && isJob && !value.FieldByIndex(f.Index).IsZero() {
			p["default"] = value.FieldByIndex(f.Index).Interface()
		}
		properties[name] = p
		if !optional && !sent || sent && slices.Contains(required[t.Name()], name) {
			must = append(must, name)
		}
	}
	o["properties"] = properties
	if len(must) > 0 {
		o["required"] = must
	}
	if sent {
		o["additionalProperties"] = false
	}
	return o
}

// layout writes v as the file has it: what fits is on one line.
func layout(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	dec := json.NewDecoder(bytes.NewReader(text)) // as maps, whose keys come out sorted
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = lay(&b, v, "\n")
	return b.String() + "\n", err
}

// lay writes v, which begins after a line break and so much space.
func lay(b *bytes.Buffer, v any, indent string) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	short := line.Len()+len(indent) < 160
	switch v := v.(type) {
	case object:
		if short {
			break
		}
		before := "{"
		for _, key := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s%s %q: ", before, indent, key)
			before = ","
			if err := lay(b, v[key], indent+" "); err != nil {
				return err
			}
		}
		b.WriteString(indent + "}")
		return nil
	case []any:
		if short {
			break
		}
		before := "["
		for _, item := range v {
			b.WriteString(before + indent + " ")
			before = ","
			if err := lay(b, item, indent+" "); err != nil {
				return err
			}
		}
		b.WriteString(indent + "]")
		return nil
	}
	b.Write(bytes.TrimSpace(line.Bytes()))
	return nil
}
