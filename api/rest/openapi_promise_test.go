package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/scenarios/contract"
)

// document is openapi.json.
var document = sync.OnceValues(func() (*contract.Document, error) {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	return contract.Read(b)
})

// keepsPromise fails the test if an answer is not what openapi.json says. Every
// answer that these tests ask for goes through here.
func keepsPromise(t *testing.T, req *http.Request, res *http.Response, body string) {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	op := doc.Find(req.Method, req.URL.EscapedPath())
	if err := doc.Check(op, req.Method, res, []byte(body)); err != nil {
		t.Errorf("%s %.200s: %v", req.Method, req.URL, err)
	}
}

func TestDocumentIsServed(t *testing.T) {
	res, body := ask(t, request(t, "GET", serve(t, newFake(), nil).URL+"/openapi.json", ""))
	equal(t, "status", res.StatusCode, 200)
	want, err := os.ReadFile("openapi.json")
	equal(t, "error", err, nil)
	equal(t, "the document is the file", body == string(want), true)
	var doc struct{ OpenAPI string }
	equal(t, "error", json.Unmarshal(want, &doc), nil)
	equal(t, "version", doc.OpenAPI, "3.0.3")
	if bytes.Contains(want, []byte("oneOf")) {
		t.Error("the document has a oneOf, which generators do not make good types of")
	}
}

// TestExamples wants an example of all that is sent and answered, and each to be
// what it is an example of.
func TestExamples(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range doc.Components.Schemas {
		if s.Example == nil {
			continue
		}
		if err := doc.Valid(s, s.Example); err != nil {
			t.Errorf("the example of %s: %v", name, err)
		}
	}
	snake := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for name, s := range doc.Components.Schemas {
		for field := range s.Properties {
			if !snake.MatchString(field) {
				t.Errorf("%s has the field %s, which is not in snake_case", name, field)
			}
		}
	}
	for _, op := range doc.Operations() {
		forms := []*contract.Answer{op.Body}
		for status, a := range op.Answers {
			if status < "400" {
				forms = append(forms, a)
			}
		}
		for _, form := range forms {
			if form == nil {
				continue
			}
			for media, c := range form.Content {
				s := doc.Resolve(c.Schema)
				if s.Type == "array" {
					s = doc.Resolve(s.Items)
				}
				if s.Type == "object" && s.Example == nil && len(s.Properties) > 0 {
					t.Errorf("openapi_test.go has no example of what %s has as %s", op.ID, media)
				}
			}
		}
	}
}

// TestExampleRequests sends the example of each body.
func TestExampleRequests(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range doc.Operations() {
		if op.Body == nil {
			continue
		}
		f := newFake()
		if op.ID != "createJob" {
			f.put(webJob())
		}
		path := strings.NewReplacer("{name}", "web", "{id}", "n1").Replace(op.Path)
		example := doc.Resolve(op.Body.Content["application/json"].Schema).Example
		req := httptest.NewRequest(op.Method, "http://localhost"+path, bytes.NewReader(example))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		rest.NewServer(rest.Config{Service: f, View: testView, Log: silent()}).ServeHTTP(rec, req)
		if rec.Code >= 300 {
			t.Errorf("%s with its own example: %d %s", op.ID, rec.Code, rec.Body)
		}
	}
}

// TestEveryFieldIsDescribed fills each type that is answered, as a whole, and wants
// the document to have exactly its fields.
func TestEveryFieldIsDescribed(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	source := readSource(t, "..")
	for name, v := range map[string]any{
		"Job": &api.Job{}, "Task": &api.Task{}, "Node": &api.Node{}, "Sheet": &api.Sheet{}, "Explanation": &api.Explanation{}, "Version": &api.Version{}, "Problem": &rest.Problem{},
	} {
		fillAll(t, source, reflect.ValueOf(v).Elem())
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		s := doc.Components.Schemas[name]
		if err := doc.Valid(s, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		for field := range s.Properties {
			if _, ok := fields[field]; !ok {
				t.Errorf("the document has %s.%s, which no answer has", name, field)
			}
		}
	}
}

// fillAll gives every part of v a value that is not zero.
func fillAll(t *testing.T, s source, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(t, s, v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for i := range v.NumField() {
			fillAll(t, s, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(t, s, v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fillAll(t, s, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": "b"}))
	case reflect.String:
		word := "x"
		if values := s.values[v.Type().Name()]; len(values) > 0 {
			word = values[0]
		}
		v.SetString(word)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	default:
		t.Fatalf("no value for a %s", v.Kind())
	}
}

// TestDocumentHasEveryCode looks at each code and its status in the document.
func TestDocumentHasEveryCode(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "codes", len(doc.Components.Schemas["Code"].Enum), len(allCodes(t)))
	for i, code := range allCodes(t) {
		equal(t, "code", doc.Components.Schemas["Code"].Enum[i], string(code))
		if doc.Components.Responses[fmt.Sprintf("Problem%d", rest.Status(code))] == nil {
			t.Errorf("the document has no answer with the status of %s", code)
		}
	}
}
