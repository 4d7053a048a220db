package rest_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// parameters describes what may be in a query, a path or a header of a request. A
// name means the same everywhere, but where there is a "PATH NAME".
var parameters = map[string]struct {
	schema object
	about  string
}{
	"after":   {object{"type": "string"}, "only jobs whose names come after this one; what happened after the event with this id, as with the header Last-Event-ID"},
	"label":   {object{"type": "array", "items": object{"type": "string"}}, "KEY, or KEY=VALUE; several must all be there"},
	"limit":   {object{"type": "integer", "minimum": 1}, "at most so many; without it, all"},
	"project": {object{"type": "string"}, "jobs with that value of the label orch.project"},
	"status":  {object{"type": "string"}, "the state of a job, the status of a node"},
	"type":    {object{"type": "string"}, "the type of a job: service, batch or global; types of events (task.running) or families of them (task), with a comma between"},
	"all":     {object{"type": "boolean"}, "final attempts of slots that are no longer wanted, too"},
	"follow":  {object{"type": "boolean"}, "go on with what comes"},
	"for":     {object{"type": "string", "enum": api.Goals()}, "what the job is to become"},
	"id":      {object{"type": "string"}, "a task (web.3) or one attempt at it (web.3@2); a node by id, prefix of it, short id or unique name"},
	"job":     {object{"type": "string"}, "the name of a job"},
	"name":    {object{"type": "string"}, "the name of a job; for logs the names of jobs and tasks, with commas between"},
	"node":    {object{"type": "string"}, "a node by id, short id or name"},
	"since":   {object{"type": "string"}, "how long ago (10m), a time of RFC 3339, or seconds since 1970"},
	"state":   {object{"type": "string", "enum": []string{"pending", "accepted", "pulling", "starting", "running", "stopping", "stopped", "failed", "complete", "lost"}}, "the state of a task"},
	"stream":  {object{"type": "string"}, "stdout, stderr or both, with a comma between"},
	"tail":    {object{"type": "string"}, "how many of the last lines, or all"},
	"task":    {object{"type": "string"}, "a task (web.3) or one attempt at it (web.3@2)"},
	"timeout": {object{"type": "string"}, "how long to wait: 60s, 2m or a number of seconds; at most 5m"},
	"wait":    {object{"type": "string"}, "how long to wait for another answer than the one that If-None-Match names: 30s; at most 5m"},
	"until":   {object{"type": "string"}, "as since; following ends then"},

	"n":          {object{"type": "integer", "minimum": 0}, "how many auctions before the last one"},
	"timestamps": {object{"type": "boolean"}, "the time of RFC 3339 before each line of text"},

	"dry_run":    {object{"type": "boolean"}, "store nothing; answer 200 with the job as it would be, and with plan"},
	"generation": {object{"type": "string"}, "the number of a generation, or its ETag"},
	// Of writes to jobs.
	"force":           {object{"type": "boolean"}, "kill the tasks instead of asking them to end"},
	"If-Match":        {object{"type": "string"}, "ETags of which the job must have one, or *: else 412 and nothing is changed"},
	"If-None-Match":   {object{"type": "string"}, "* wants no job of that name to be there: else 412"},
	"Idempotency-Key": {object{"type": "string", "maxLength": 255}, "names the request: sent again with the same key, to any node, it is carried out once"},
}

// examples has a value of each type that is sent or answered.
var examples = map[string]any{
	"Aside":         oneAside(),
	"Cluster":       oneCluster(),
	"Container":     oneContainer(),
	"Digest":        api.Digest{Node: nodeB, Name: "n2", Digest: "1a58423fd58c036a", Records: 9},
	"Explanation":   exampleExplanation(),
	"Joined":        api.Joined{Cluster: oneCluster()},
	"JoiningSpec":   api.Joining{Token: "orch-join-1-…", Peers: []string{"203.0.113.7"}, Timeout: api.Duration(9 * time.Second)},
	"Generation":    exampleGeneration(),
	"Job":           exampleJob(),
	"JobSpec":       object{"name": "web", "image": "nginx:1.27", "replicas": 3, "resources": object{"cpus": 0.25}, "ports": []any{object{"target": 80, "published": 8080}}},
	"Leaving":       object{"force": false},
	"LogEntry":      api.LogLine{Time: noon, Task: "web.0", Epoch: 2, Node: "n1", Stream: "stdout", Line: "listening on 80"},
	"Node":          oneNode(),
	"Problem":       exampleProblem(),
	"RestoringSpec": object{"job": "nightly"},
	"Scaling":       object{"replicas": 5},
	"Sheet":         exampleSheet(),
	"Task":          oneTask(),
	"Version":       api.Version{Version: "0.1.0", Wire: [2]int{1, 1}, Go: "go1.26", OS: "linux", Arch: "amd64", Commit: "0123abc"},
	"Event":         oneEvent(),
	"Waited":        rest.WaitedFor(exampleJob()),

	"LabelChangeSpec": object{"disk": "ssd", "zone": nil},
}

func exampleJob() api.Job {
	job := webJob().Spec()
	job.Command, job.Env = []string{}, map[string]string{"LANG": "C.UTF-8"}
	job.ID, job.Generation, job.ETag, job.CreatedAt, job.UpdatedAt, job.Coordinator = "web-1767355200000", 4, "4-9f3ac1d2", noon, noon, nodeA
	job.Template = "63fa53092e2f"
	job.Status = &api.Status{State: api.JobDegraded, Wanted: 3, Running: 2, Pending: 1, Reason: "web.2: no room"}
	return job
}

func exampleGeneration() api.Generation {
	list, _ := newFake().History(context.Background(), "")
	return list[0]
}

func exampleProblem() rest.Problem {
	return rest.Problem{Type: rest.ProblemType + "invalid", Title: "a value is not allowed", Status: 422, Detail: "the job is not valid", Instance: "/v1/jobs",
		Code: api.Invalid, Errors: []api.FieldError{{Pointer: "#/resources/cpus", Detail: "must be from 0 to 1000000"}}, Hint: "orch help exit-codes"}
}

func exampleExplanation() api.Explanation {
	e, _ := newFake().Explain(context.Background(), "web") // it has that one
	e.Job = exampleJob()
	return e
}

func exampleSheet() api.Sheet {
	sheet, _ := newFake().Auction(context.Background(), "web.0", 0) // it has that one
	return sheet
}

// always are the codes that a request can meet whatever it asks for.
var always = []api.Code{api.BadQuery, api.NotAcceptable, api.Unauthorized, api.Forbidden, api.WrongHost, api.Internal}

// TestOpenAPI makes the document anew from the routes, the types and their
// comments, and wants openapi.json to be that.
func TestOpenAPI(t *testing.T) {
	checkPlaces(t)
	got, err := layout(describe(t))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("openapi.json", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("openapi.json is not what the routes and types are: UPDATE_GOLDEN=1 go test ./api/rest -run OpenAPI")
	}
}

// checkPlaces wants a line of Operations for each route and no other, and names
// that are not taken.
func checkPlaces(t *testing.T) {
	t.Helper()
	routes, ids := map[string]bool{}, map[string]string{}
	for _, rt := range rest.Routes() {
		key := rt.Method + " " + pathOf(rt)
		routes[key] = true
		op, ok := rest.Operations[key]
		if !ok || op.ID == "" {
			t.Errorf("operations_test.go says nothing of %s", key)
		}
		if other := ids[op.ID]; other != "" {
			t.Errorf("%s and %s are both called %s", key, other, op.ID)
		}
		ids[op.ID] = key
	}
	for key := range rest.Operations {
		if !routes[key] {
			t.Errorf("operations_test.go has %s, which is no route", key)
		}
	}
}

func pathOf(rt rest.Route) string { return strings.TrimSuffix(rt.Path, "{$}") }

// describe makes the document.
func describe(t *testing.T) object {
	t.Helper()
	s := schemas{readSource(t, "..", "."), object{}}
	paths := object{}
	for _, rt := range rest.Routes() {
		path, _ := paths[pathOf(rt)].(object)
		if path == nil {
			path = object{}
			paths[pathOf(rt)] = path
		}
		path[strings.ToLower(rt.Method)] = operation(t, s, rt, rest.Operations[rt.Method+" "+pathOf(rt)])
	}
	problems := refusals(s)
	for name := range s.named {
		schema := s.named[name].(object)
		if schema["type"] != "object" {
			continue
		}
		if example, ok := examples[name]; ok {
			schema["example"] = example
		}
	}
	return object{
		"openapi": "3.0.3",
		"info": object{
			"title": "orch", "version": "1", "license": object{"name": "MIT"},
			"description": "A container scheduler without a master: any node answers for all. Lists are plain arrays; what is said of an answer as a whole is in its headers. " +
				"Within /v1 fields are only added: skip those you do not know. A refusal is a problem (RFC 9457), and its code is the contract. A 5xx to a write means that it may or may not have happened.",
		},
		"servers":  []any{object{"url": "/"}},
		"security": []any{object{}, object{"token": []any{}}},
		"paths":    paths,
		"components": object{
			"schemas": s.named, "responses": problems, "headers": headers(),
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "orch token --api prints it; not needed on loopback"}},
		},
	}
}

// operation describes one route.
func operation(t *testing.T, s schemas, rt rest.Route, op rest.Operation) object {
	t.Helper()
	codes := slices.Concat(always, op.Fails)
	o := object{"operationId": op.ID, "summary": rt.About, "parameters": parametersOf(t, rt, op)}
	if op.In != nil {
		o["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(op.In), true)}}}
		codes = append(codes, api.BadRequest, api.UnknownField, api.NotSupported, api.Invalid, api.WrongMedia, api.TooLarge)
	} else if rt.Method != http.MethodGet {
		codes = append(codes, api.BadRequest, api.NotSupported, api.TooLarge)
	}
	if op.Write {
		codes = append(codes, api.NotReady, api.ClockOff, api.Stale, api.TableFull)
	}
	responses := answers(s, rt, op)
	slices.Sort(codes)
	codes = slices.Compact(codes)
	for _, code := range codes {
		status := strconv.Itoa(rest.Status(code))
		responses[status] = object{"$ref": "#/components/responses/Problem" + status}
	}
	o["responses"], o["x-codes"] = responses, codes
	return o
}

var wildcard = regexp.MustCompile(`\{(\w+)\}`)

func parametersOf(t *testing.T, rt rest.Route, op rest.Operation) []any {
	t.Helper()
	list := []any{}
	add := func(in, name string) {
		p, ok := parameters[rt.Path+" "+name]
		if !ok {
			p, ok = parameters[name]
		}
		if !ok {
			t.Errorf("%s %s: openapi_test.go does not describe the parameter %s", rt.Method, rt.Path, name)
		}
		one := object{"in": in, "name": name, "schema": p.schema, "description": p.about}
		if in == "path" {
			one["required"] = true
		}
		list = append(list, one)
	}
	for _, m := range wildcard.FindAllStringSubmatch(rt.Path, -1) {
		add("path", m[1])
	}
	for _, name := range rt.Query {
		add("query", name)
	}
	for _, name := range op.Headers {
		add("header", name)
	}
	return list
}

// answers describes the success of a route.
func answers(s schemas, rt rest.Route, op rest.Operation) object {
	content := object{}
	for _, media := range rt.Media {
		name, _, _ := strings.Cut(media, ";")
		schema := object{"type": "string"}
		if strings.HasPrefix(name, "application/") {
			schema = s.of(reflect.TypeOf(op.Out), false)
		}
		content[name] = object{"schema": schema}
	}
	heads := []string{"Orch-Node", "Orch-View"}
	if _, isJob := op.Out.(api.Job); isJob {
		heads = append(heads, "ETag")
	}
	if op.Write {
		heads = append(heads, "Orch-Durable", "Orch-Existed")
	}
	if slices.Contains(rt.Query, "limit") {
		heads = append(heads, "Link")
	}
	answer := func(about string, more ...string) object {
		h := object{}
		for _, name := range slices.Concat(heads, more) {
			h[name] = object{"$ref": "#/components/headers/" + name}
		}
		return object{"description": about, "headers": h, "content": content}
	}
	responses := object{}
	switch {
	case op.Status == http.StatusCreated:
		responses["201"] = answer("created", "Location")
		responses["200"] = answer("it was there already")
	case op.Status == http.StatusAccepted:
		responses["202"] = answer("begun")
	default:
		responses["200"] = answer("done")
	}
	if slices.Contains(rt.Query, "wait") {
		responses["200"] = answer("done", "ETag", "Orch-Revision")
		responses["304"] = unchanged()
	}
	if op.Write {
		responses["202"] = answer("done, but on fewer disks than make it safe; it spreads on", "Warning")
	}
	return responses
}

// unchanged describes the answer to a read that waited in vain.
func unchanged() object {
	h := object{}
	for _, name := range []string{"ETag", "Orch-Node", "Orch-Revision", "Orch-View"} {
		h[name] = object{"$ref": "#/components/headers/" + name}
	}
	return object{"description": "it is still what If-None-Match names", "headers": h}
}

// headers describes those of answers.
func headers() object {
	all := object{}
	for name, about := range map[string]string{
		"Accept":           "the media type that a body must have",
		"Allow":            "the methods that the path has",
		"ETag":             "the version of the job; elsewhere, the revision",
		"Link":             "the next page, if there was a limit and there is more",
		"Location":         "the path of the job",
		"Orch-Durable":     "disks that have the write, of how many make it safe: 3/3",
		"Orch-Existed":     "true: nothing was written, it was so already",
		"Orch-Node":        "who answers: vps1;id=8Qm3vT4k",
		"Orch-Revision":    "the state of what this node sees that the answer shows; If-None-Match takes it",
		"Orch-View":        "how much it sees: alive=2, known=3, synced, isolated",
		"Retry-After":      "seconds after which to ask again",
		"WWW-Authenticate": "Bearer",
		"Warning":          "how many disks have the write so far",
	} {
		all[name] = object{"description": about, "schema": object{"type": "string"}}
	}
	return all
}

// refusals describes the problems: a response for each status.
func refusals(s schemas) object {
	problem := s.of(reflect.TypeFor[rest.Problem](), false)
	codes := s.named["Code"].(object)
	byStatus := map[int][]string{}
	var table []string
	for _, code := range s.source.values["Code"] {
		status := rest.Status(api.Code(code))
		byStatus[status] = append(byStatus[status], code)
		table = append(table, fmt.Sprintf("- `%s` (%d): %s", code, status, s.source.notes["Code."+code]))
	}
	codes["description"] = "Says what kind of refusal this is; the contract for programs.\n\n" + strings.Join(table, "\n")
	responses := object{}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		h := object{}
		for _, name := range append([]string{"Orch-Node", "Orch-View"}, headersOf[status]...) {
			h[name] = object{"$ref": "#/components/headers/" + name}
		}
		responses["Problem"+strconv.Itoa(status)] = object{
			"description": strings.Join(byStatus[status], ", "), "headers": h,
			"content": object{"application/problem+json": object{"schema": problem}},
		}
	}
	return responses
}

var headersOf = map[int][]string{401: {"WWW-Authenticate"}, 405: {"Allow"}, 415: {"Accept"}, 503: {"Retry-After"}}
