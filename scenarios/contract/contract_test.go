package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/scenarios/contract"
)

const text = `{
 "paths": {"/things/{id}": {"get": {"operationId": "getThing", "x-codes": ["gone"], "responses": {
   "200": {"headers": {"ETag": {}, "Link": {}}, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}, "text/plain": {}}},
   "404": {"$ref": "#/components/responses/Gone"}}}}},
 "components": {
  "responses": {"Gone": {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
  "schemas": {
   "Thing": {"type": "object", "required": ["n"], "properties": {
     "n": {"type": "integer"}, "f": {"type": "number"}, "kind": {"type": "string", "enum": ["a", "b"]}, "list": {"type": "array", "items": {"type": "boolean"}},
     "part": {"allOf": [{"$ref": "#/components/schemas/Thing"}], "nullable": true}, "map": {"type": "object", "additionalProperties": {"type": "string"}}}},
   "Problem": {"type": "object", "properties": {"code": {"type": "string"}, "status": {"type": "integer"}}}}}}`

func read(t *testing.T) *contract.Document {
	t.Helper()
	doc, err := contract.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestCheck(t *testing.T) {
	const problem = "application/problem+json"
	doc := read(t)
	op := doc.Find("GET", "/things/7")
	for what, tt := range map[string]struct {
		status      int
		media, body string
		want        string // "" for an answer that is as promised
	}{
		"a thing":                {200, "application/json", `{"n":1,"f":0.5,"kind":"a","list":[true],"part":null,"map":{"x":"y"}}`, ""},
		"a thing with a thing":   {200, "application/json; charset=utf-8", `{"n":1,"part":{"n":2}}`, ""},
		"text":                   {200, "text/plain; charset=utf-8", "hello", ""},
		"gone":                   {404, problem, `{"code":"gone","status":404}`, ""},
		"no such status":         {201, "application/json", `{"n":1}`, "201"},
		"no such form":           {200, "text/html", "", "text/html"},
		"a field is missing":     {200, "application/json", `{}`, "# has no n"},
		"a field too many":       {200, "application/json", `{"n":1,"m":2}`, "m"},
		"deep inside":            {200, "application/json", `{"n":1,"part":{"n":"x"}}`, "#/part/n"},
		"no integer":             {200, "application/json", `{"n":1.5}`, "#/n"},
		"null":                   {200, "application/json", `{"n":null}`, "#/n is null"},
		"no such value":          {200, "application/json", `{"n":1,"kind":"c"}`, "a|b"},
		"a list of the wrong":    {200, "application/json", `{"n":1,"list":[true,1]}`, "#/list/1"},
		"a map of the wrong":     {200, "application/json", `{"n":1,"map":{"x":1}}`, "#/map/x"},
		"a list for a map":       {200, "application/json", `{"n":1,"map":[]}`, "#/map"},
		"a map for a list":       {200, "application/json", `{"n":1,"list":{}}`, "#/list"},
		"another code":           {404, problem, `{"code":"lost","status":404}`, "lost"},
		"another status in it":   {404, problem, `{"code":"gone","status":410}`, "410"},
		"a problem that is none": {404, "text/plain", "404", "text/plain"},
	} {
		res := &http.Response{StatusCode: tt.status, Header: http.Header{"Content-Type": {tt.media}, "Etag": {"x"}}}
		err := doc.Check(op, "GET", res, []byte(tt.body))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", what, err, tt.want)
		}
	}
	bare := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}}
	if err := doc.Check(op, "HEAD", bare, nil); err == nil || !strings.Contains(err.Error(), "ETag") {
		t.Errorf("an answer without its ETag: got %v", err)
	}
}

func TestFind(t *testing.T) {
	doc := read(t)
	for path, want := range map[string]bool{"/things/7": true, "/things/a%2Fb": true, "/things/": false, "/things": false, "/things/7/8": false, "/things/..": false, "//7": false} {
		if got := doc.Find("HEAD", path) != nil; got != want {
			t.Errorf("HEAD %s: found %v, want %v", path, got, want)
		}
	}
	if doc.Find("POST", "/things/7") != nil {
		t.Error("a method that the path does not have is found")
	}
	if _, err := contract.Read([]byte(strings.Replace(text, "responses/Gone", "responses/Lost", 1))); err == nil {
		t.Error("a reference without an aim: got no error")
	}
}
