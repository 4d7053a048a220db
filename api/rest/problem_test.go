package rest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// TestProblemsAreExplained wants the link in a problem to lead to a section of
// PROBLEMS.md that has the status of the code, and no section to be without a code.
func TestProblemsAreExplained(t *testing.T) {
	if !strings.HasSuffix(rest.ProblemType, "/api/rest/PROBLEMS.md#") {
		t.Errorf("the type of a problem leads to %s", rest.ProblemType)
	}
	text, err := os.ReadFile("PROBLEMS.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n## ")[1:] {
		code, about, _ := strings.Cut(s, "\n")
		sections[code] = about
	}
	for _, code := range allCodes(t) {
		if want := fmt.Sprintf("%d. ", rest.Status(code)); !strings.HasPrefix(sections[string(code)], want) {
			t.Errorf("PROBLEMS.md wants a section ## %s that begins with %q", code, want)
		}
		delete(sections, string(code))
	}
	for code := range sections {
		t.Errorf("PROBLEMS.md explains %s, which is no code", code)
	}
}

func TestAccept(t *testing.T) {
	srv := serve(t, newFake(), nil)
	for accept, want := range map[string]int{
		"": 200, "*/*": 200, "application/json": 200, "application/*": 200, "APPLICATION/JSON": 200, "text/html, */*;q=0.1": 200,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": 200, "application/json;q=0.5": 200, "nonsense, application/json": 200,
		"text/html": 406, "nonsense": 406, "application/json;q=0": 406, "*/*, application/json;q=0": 406, "application/*;q=0, */*": 406, ";;;": 406,
		"application/problem+json": 406, "application/jsonx": 406,
	} {
		res, body := ask(t, request(t, "GET", srv.URL+"/v1/jobs", "", "Accept", accept))
		equal(t, "Accept: "+accept, res.StatusCode, want)
		if want == 406 {
			equal(t, "code", readProblem(t, res, body).Code, string(api.NotAcceptable))
		}
	}
	f := newFake()
	res, _ := ask(t, request(t, "POST", serve(t, f, nil).URL+"/v1/jobs", `{"name":"web","image":"x"}`, "Accept", "text/html"))
	equal(t, "a write whose answer is not wanted", res.StatusCode, 406)
	equal(t, "is not done", f.called(), []string(nil))
}

// TestEverythingHasAHead asks for the head of all that can be got.
func TestEverythingHasAHead(t *testing.T) {
	f := newFake()
	f.put(webJob())
	srv := serve(t, f, nil)
	for _, rt := range rest.Routes() {
		if rt.Method != "GET" {
			continue
		}
		path := strings.NewReplacer("{$}", "", "{name}", "web", "/v1/logs", "/v1/logs?name=web").Replace(rt.Path)
		path = strings.ReplaceAll(path, "/tasks/{id}", "/tasks/web.0")
		path = strings.ReplaceAll(path, "/nodes/{id}", "/nodes/n1")
		res, body := ask(t, request(t, "HEAD", srv.URL+path, ""))
		equal(t, "HEAD "+path, res.StatusCode, 200)
		equal(t, "its body", body, "")
		if res.Header.Get("Content-Type") == "" || res.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("HEAD %s: headers are missing: %v", path, res.Header)
		}
	}
}
