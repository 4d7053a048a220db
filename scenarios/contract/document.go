// Package contract reads the OpenAPI document of a node, and says whether what the
// node answers is what the document promises. It knows the part of OpenAPI 3.0 that
// orch's own document uses, and nothing of orch.
package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Document is an OpenAPI document.
type Document struct {
	Paths      map[string]map[string]*Operation `json:"paths"` // by path and method in lower case
	Components struct {
		Schemas   map[string]*Schema `json:"schemas"`
		Responses map[string]*Answer `json:"responses"`
	} `json:"components"`
}

// Operation is one method of one path.
type Operation struct {
	Method     string             `json:"-"`
	Path       string             `json:"-"`
	ID         string             `json:"operationId"`
	Parameters []Parameter        `json:"parameters"`
	Body       *Answer            `json:"requestBody"` // nil for none
	Answers    map[string]*Answer `json:"responses"`   // by status
	Codes      []string           `json:"x-codes"`     // of its problems
}

// Parameter is a part of a path, of a query, or a header.
type Parameter struct {
	In     string  `json:"in"` // "path", "query" or "header"
	Name   string  `json:"name"`
	Schema *Schema `json:"schema"`
}

// Answer is an answer or, in form alike, the body of a request.
type Answer struct {
	Ref     string                     `json:"$ref"`
	Headers map[string]json.RawMessage `json:"headers"`
	Content map[string]struct {        // by media type
		Schema *Schema `json:"schema"`
	} `json:"content"`
}

// Schema says what a JSON value may be.
type Schema struct {
	Ref        string             `json:"$ref"`
	AllOf      []*Schema          `json:"allOf"`
	Type       string             `json:"type"`
	Nullable   bool               `json:"nullable"`
	Enum       []string           `json:"enum"`
	Items      *Schema            `json:"items"`
	Properties map[string]*Schema `json:"properties"`
	Required   []string           `json:"required"`
	Additional *anything          `json:"additionalProperties"`
	Example    json.RawMessage    `json:"example"`
}

// anything is a schema, or whether there may be anything.
type anything struct {
	Schema *Schema
	Yes    bool
}

// UnmarshalJSON reads true, false or a schema.
func (a *anything) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &a.Yes) == nil {
		return nil
	}
	a.Yes = true
	return json.Unmarshal(b, &a.Schema)
}

// Read reads a document. Every reference in it must have its aim.
func Read(b []byte) (*Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			op.Method, op.Path = strings.ToUpper(method), path
			for status, a := range op.Answers {
				name := strings.TrimPrefix(a.Ref, "#/components/responses/")
				if a.Ref == "" {
					continue
				}
				if op.Answers[status] = d.Components.Responses[name]; op.Answers[status] == nil {
					return nil, fmt.Errorf("read the document: %s %s: there is no %s", op.Method, path, a.Ref)
				}
			}
		}
	}
	return &d, nil
}

// Operations are all of the document, by path and method.
func (d *Document) Operations() []*Operation {
	var all []*Operation
	for _, methods := range d.Paths {
		for _, op := range methods {
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b *Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return all
}

// Find is the operation that a request means, or nil. A HEAD is a GET.
func (d *Document) Find(method, path string) *Operation {
	if method == "HEAD" {
		method = "GET"
	}
	for _, op := range d.Operations() {
		if op.Method == method && matches(op.Path, path) {
			return op
		}
	}
	return nil
}

// matches says whether path, escaped, is an instance of pattern.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		isName := got[i] != "" && got[i] != "." && got[i] != ".."
		if want[i] != got[i] && !(strings.HasPrefix(want[i], "{") && isName) {
			return false
		}
	}
	return true
}

// Resolve follows the references of s.
func (d *Document) Resolve(s *Schema) *Schema {
	for s != nil && (s.Ref != "" || len(s.AllOf) == 1) {
		if s.Ref == "" {
			s = s.AllOf[0]
			continue
		}
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// Streams says whether an answer can go on for as long as it is read.
func (o *Operation) Streams() bool {
	for _, a := range o.Answers {
		for media := range a.Content {
			if media == "text/event-stream" || media == "application/x-ndjson" {
				return true
			}
		}
	}
	return false
}

func (o *Operation) answer(status int) *Answer { return o.Answers[strconv.Itoa(status)] }
