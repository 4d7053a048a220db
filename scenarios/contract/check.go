package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Check says what in an answer the document does not promise: a status, a code, a
// header that is missing, a body that is not of its schema. No operation is a path
// that is not in the document, or a method that the path does not have.
func (d *Document) Check(op *Operation, method string, res *http.Response, body []byte) error {
	if op == nil {
		return d.checkProblem(res, body, nil)
	}
	promised := op.answer(res.StatusCode)
	if promised == nil {
		return fmt.Errorf("%s is not to answer with %d: %.300s", op.ID, res.StatusCode, body)
	}
	for name := range promised.Headers {
		if op.mandatory(name, res.StatusCode) && res.Header.Get(name) == "" {
			return fmt.Errorf("%s: the answer %d has no %s", op.ID, res.StatusCode, name)
		}
	}
	if method == http.MethodHead {
		return nil
	}
	if res.StatusCode >= 400 {
		return d.checkProblem(res, body, op.Codes)
	}
	if len(promised.Content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("%s: the answer %d has a body: %.300s", op.ID, res.StatusCode, body)
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("%s: its Content-Type: %w", op.ID, err)
	}
	form, ok := promised.Content[media]
	if !ok {
		return fmt.Errorf("%s is not to answer in the form %s", op.ID, media)
	}
	if media != "application/json" {
		return nil
	}
	if err := d.Valid(form.Schema, body); err != nil {
		return fmt.Errorf("%s: the answer %d: %w", op.ID, res.StatusCode, err)
	}
	return nil
}

// mandatory says whether a header that is promised has to be there. A dry run, which
// is answered with 200, has written nothing to tell of.
func (o *Operation) mandatory(name string, status int) bool {
	dry := slices.ContainsFunc(o.Parameters, func(p Parameter) bool { return p.Name == "dry_run" })
	if dry && status == http.StatusOK {
		return name == "Orch-Node" || name == "Orch-View"
	}
	return !slices.Contains([]string{"Link", "Orch-Existed", "Warning"}, name)
}

// checkProblem wants a problem with one of the codes; none are all.
func (d *Document) checkProblem(res *http.Response, body []byte, codes []string) error {
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		return fmt.Errorf("the refusal %d is of the type %q: %.300s", res.StatusCode, got, body)
	}
	if err := d.Valid(d.Components.Schemas["Problem"], body); err != nil {
		return fmt.Errorf("the refusal %d: %w", res.StatusCode, err)
	}
	var p struct {
		Code   string
		Status int
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	if p.Status != res.StatusCode || codes != nil && !slices.Contains(codes, p.Code) {
		return fmt.Errorf("the refusal %d has the status %d and the code %s, of %s", res.StatusCode, p.Status, p.Code, strings.Join(codes, ", "))
	}
	return nil
}

// Valid says what keeps a JSON text from being of a schema. A field that the schema
// does not have is a fault.
func (d *Document) Valid(s *Schema, text []byte) error {
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return d.valid(s, v, "#")
}

func (d *Document) valid(s *Schema, v any, at string) error {
	if v == nil {
		if s.Nullable {
			return nil
		}
		return fmt.Errorf("%s is null", at)
	}
	if s = d.Resolve(s); s == nil {
		return fmt.Errorf("%s has no schema", at)
	}
	ok := true
	switch v := v.(type) {
	case map[string]any:
		return d.validObject(s, v, at)
	case []any:
		ok = s.Type == "array"
		for i := 0; ok && i < len(v); i++ {
			if err := d.valid(s.Items, v[i], at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	case string:
		ok = s.Type == "string" && (s.Enum == nil || slices.Contains(s.Enum, v))
	case bool:
		ok = s.Type == "boolean"
	case json.Number:
		_, err := v.Int64()
		ok = s.Type == "number" || s.Type == "integer" && err == nil
	}
	if !ok {
		return fmt.Errorf("%s is %.80v, not %s %s", at, v, s.Type, strings.Join(s.Enum, "|"))
	}
	return nil
}

func (d *Document) validObject(s *Schema, v map[string]any, at string) error {
	if s.Type != "object" {
		return fmt.Errorf("%s is an object, not %s", at, s.Type)
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s has no %s", at, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		part := s.Properties[name]
		if part == nil && s.Additional != nil {
			part = s.Additional.Schema
		}
		switch {
		case part == nil && s.Properties == nil && s.Additional == nil: // anything
		case part == nil:
			return fmt.Errorf("%s has the field %s, which is not in the document", at, name)
		default:
			if err := d.valid(part, v[name], at+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}
