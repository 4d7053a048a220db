package scenarios_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/exitae337/orchestergo/scenarios/contract"
)

// How many random requests there are, over so many connections, and how much memory
// the node may have afterwards.
const (
	randomCount  = 10_000
	randomConns  = 4
	randomMemory = 256 << 20
)

// randomRequests sends requests that are made from the document and then damaged. No
// answer may be another than the document promises, and none a fault of the node.
// SEED repeats a run.
func randomRequests(ctx context.Context, t *testing.T, a *asker) {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("SEED=%d", seed)
	requests := make(chan message)
	var wg sync.WaitGroup
	for range randomConns {
		wg.Go(func() {
			one := &asker{node: a.node, doc: a.doc}
			defer one.close()
			for m := range requests {
				survives(t, one, m)
			}
		})
	}
	began := time.Now()
	m := maker{rand.New(rand.NewPCG(seed, 0)), a.doc, a.doc.Operations()}
	sent := 0
	for ; sent < randomCount && !t.Failed() && ctx.Err() == nil; sent++ {
		requests <- m.request()
	}
	close(requests)
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatal(context.Cause(ctx))
	}
	used := resident(ctx, t, a.node.PID())
	t.Logf("%d requests in %s; the node has %d MiB", sent, time.Since(began).Round(time.Millisecond), used>>20)
	if used > randomMemory {
		t.Errorf("the node has %d MiB, want at most %d", used>>20, randomMemory>>20)
	}
}

// survives sends one request and looks at the answer. A stream may have nothing to
// say for a while.
func survives(t *testing.T, a *asker, m message) {
	within := 20 * time.Second
	if m.stream {
		within = 50 * time.Millisecond
	}
	res, body, err := a.ask(m, within)
	switch {
	case err != nil && (m.stream || m.broken):
		return
	case err != nil:
		t.Errorf("no answer: %v to\n%.2000q", err, m.text)
		return
	case res.StatusCode >= 500 && res.StatusCode != http.StatusServiceUnavailable && res.Header.Get("Orch-Node") != "":
		t.Errorf("%d: %.500s to\n%.2000q", res.StatusCode, body, m.text)
	case m.target == "": // nobody knows what it asks for
		return
	}
	if err := a.check(m, res, body); err != nil {
		t.Errorf("%v to\n%.2000q", err, m.text)
	}
}

// A maker makes requests. All its words are from here: what it has a node run is
// true and sleep, whatever else it makes of a job.
type maker struct {
	*rand.Rand
	doc *contract.Document
	ops []*contract.Operation
}

// words are what a string may be, by the name of the field or parameter; "" is for
// all others. Some of each fit.
var words = map[string][]string{
	"":                {"", "a", "web", "true", "1", "0", "-1", "A=B", "../x", "a.b", "%2F", "\x01", "\u2028", "💥", "'\"", "host", "tcp", "10s", strings.Repeat("a", 300), strings.Repeat("é", 5000)},
	"name":            {"web", "web", "api", "a", "b-1", "nope", "../x", "a.b", "", strings.Repeat("a", 64), "we\nb"},
	"job":             {"web", "api", "nope", ""},
	"node":            {"n1", "self", "nope", ""},
	"type":            {"service", "batch", "global", "cron"},
	"driver":          {"process", "process", "docker", "warp"},
	"policy":          {"always", "on-failure", "no", "maybe"},
	"protocol":        {"tcp", "udp", "sctp"},
	"stop_timeout":    {"0s", "1s", "1h", "-1s", "1000000h", "soon"},
	"start_timeout":   {"1s", "10s", "0s"},
	"failover_after":  {"0s", "1m", "-1ns"},
	"since":           {"10m", "0", "1", "-5m", "2026-01-02T15:04:05Z", "1e300", "NaN"},
	"tail":            {"0", "1", "all", "-1", "99999999999999999999"},
	"stream":          {"stdout", "stderr", "stdout,stderr", "stdin", ","},
	"label":           {"a", "a=b", "a=", "=", "\x00"},
	"limit":           {"1", "2", "0", "-1", "1e9"},
	"If-Match":        {`"1-abc"`, "*", `W/"1"`, `"`, ""},
	"If-None-Match":   {"*", `"1-abc"`, `""`},
	"Idempotency-Key": {"k1", "k2", "", strings.Repeat("k", 1000)},
}

// numbers are what a number may be. As replicas only few of them are let through.
var numbers = []any{0, 1, 2, 3, -1, 0.25, 0.001, 1e-9, 64 << 20, 65535, 65536, 100_001, 1_000_000_000_000, json.Number("1e400"), json.Number("-0"), json.Number("1" + strings.Repeat("0", 40))}

// commands are all that is ever run.
var commands = [][]any{{"true"}, {"sleep", "1"}}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// chance is true once in n times.
func (m maker) chance(n int) bool { return m.IntN(n) == 0 }

func (m maker) word(name string) string {
	list, ok := words[name]
	if !ok || m.chance(8) {
		list = words[""]
	}
	return pick(m.Rand, list)
}

// request makes one.
func (m maker) request() message {
	for {
		op := pick(m.Rand, m.ops)
		if strings.HasPrefix(op.Path, "/v1/cluster/") && op.Method != http.MethodGet {
			continue // it would leave
		}
		if op.Streams() && !m.chance(3) {
			continue // they take their time
		}
		body := m.body(op)
		if harmless(body) {
			return m.message(op, body)
		}
	}
}

func (m maker) message(op *contract.Operation, body string) message {
	method, path := op.Method, op.Path
	if m.chance(12) {
		method = pick(m.Rand, []string{"HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "get"})
	}
	query, header := []string{}, []string{}
	stream, broken := op.Streams(), false
	for _, p := range op.Parameters {
		stream = stream || p.Name == "timeout" // it waits, also where none is given
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", m.segment(op.Path, p.Name))
		case p.In == "query" && m.chance(3):
			value := m.word(p.Name)
			if s := p.Schema; len(s.Enum) > 0 && !m.chance(4) {
				value = pick(m.Rand, s.Enum)
			}
			query = append(query, p.Name+"="+url.QueryEscape(value))
			stream = stream || p.Name == "wait"
		case p.In == "header" && m.chance(2):
			value := m.word(p.Name)
			header = append(header, p.Name+": "+value)
			broken = broken || strings.ContainsFunc(value, unicode.IsControl)
		}
	}
	header = append(header, m.header()...)
	if m.chance(20) {
		query = append(query, pick(m.Rand, []string{"x=1", "=", "&&", "%zz", "a;b", "a=" + strings.Repeat("b", 9000)}))
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	if m.chance(25) {
		path, broken = m.damage(path), true
	}
	out := wire(method, path, body, header...)
	out.stream, out.broken = stream, broken
	if m.chance(50) { // what is not about the API, but about HTTP
		out.text, out.last = []byte(m.damage(string(out.text[:bytes.IndexByte(out.text, '\n')]))+"\r\nHost: localhost\r\n\r\n"), true
		out.method, out.target, out.broken = "", "", true
	}
	return out
}

// segment is something for a wildcard of a path.
func (m maker) segment(path, name string) string {
	value := m.word("name")
	switch {
	case strings.HasPrefix(path, "/v1/tasks"):
		value = pick(m.Rand, []string{"web.0", "web.0@1", "api.0", "a.1", "web.99", "web.0@0", "web", "web.-1", ".", "web.1000000000000"})
	case strings.HasPrefix(path, "/v1/nodes"):
		value = pick(m.Rand, []string{"n1", "self", "nope", "12D3KooW", ".."})
	}
	if m.chance(10) {
		value = m.word(name)
	}
	return strings.ReplaceAll(url.PathEscape(value), ".", pick(m.Rand, []string{".", ".", ".", "%2E"}))
}

// header is what may or may not be in any request.
func (m maker) header() []string {
	var h []string
	for _, line := range []string{"Host: evil.example", "Origin: http://evil.example", "Content-Type: text/plain", "Content-Encoding: gzip", "Sec-Fetch-Site: cross-site",
		"Accept: text/html", "Accept: application/json;q=0.1, */*;q=0", "Accept: application/x-ndjson", "Accept: text/event-stream", "Authorization: Basic x", "If-Match: *", "Last-Event-ID: a.1", "Range: bytes=0-1"} {
		if m.chance(40) && (len(h) == 0 || !strings.HasPrefix(line, "Accept")) {
			h = append(h, line)
		}
	}
	return h
}

// body is what op takes, more or less.
func (m maker) body(op *contract.Operation) string {
	if op.Body == nil {
		if m.chance(15) {
			return pick(m.Rand, []string{"{}", "[]", " ", `{"a":1}`})
		}
		return ""
	}
	schema := op.Body.Content["application/json"].Schema
	value := m.value(schema, "")
	_, isJob := m.doc.Resolve(schema).Properties["command"]
	if job, ok := value.(map[string]any); ok && isJob && !m.chance(4) { // one that may well be stored
		for _, field := range slices.Sorted(maps.Keys(job)) {
			if !m.chance(4) {
				delete(job, field)
			}
		}
		job["name"], job["driver"], job["command"] = m.word("name"), "process", pick(m.Rand, commands)
	}
	b, err := json.Marshal(value)
	if err != nil {
		return "{" // a number that is none
	}
	if m.chance(6) {
		return m.damage(string(b))
	}
	return string(b)
}

// value is something of a schema, or not quite.
func (m maker) value(s *contract.Schema, name string) any {
	s = m.doc.Resolve(s)
	if name == "command" {
		return pick(m.Rand, commands)
	}
	if m.chance(25) { // of another type
		return pick(m.Rand, []any{nil, true, "a", 1, []any{}, map[string]any{}, []any{nil}, map[string]any{"a": nil}})
	}
	switch s.Type {
	case "object":
		o := map[string]any{}
		for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, field) || m.chance(3) {
				o[field] = m.value(s.Properties[field], field)
			}
		}
		if len(s.Properties) == 0 || m.chance(25) {
			o[m.word("")] = m.word("")
		}
		return o
	case "array":
		list := make([]any, m.IntN(3))
		for i := range list {
			list[i] = m.value(s.Items, name)
		}
		return list
	case "boolean":
		return m.chance(2)
	case "string":
		if len(s.Enum) > 0 && !m.chance(4) {
			return pick(m.Rand, s.Enum)
		}
		return m.word(name)
	}
	return pick(m.Rand, numbers)
}

// damage changes a few bytes of a text.
func (m maker) damage(text string) string {
	b := []byte(text)
	for range 1 + m.IntN(3) {
		at := m.IntN(len(b) + 1)
		switch m.IntN(3) {
		case 0:
			b = slices.Insert(b, at, pick(m.Rand, []byte("\x00{}[]\",:\\/%.0 \xff")))
		case 1:
			b = b[:at]
		default:
			if at < len(b) {
				b[at] = byte(m.IntN(256))
			}
		}
	}
	return string(b)
}

// harmless says whether a body makes a node run only what it may, and not too often:
// damage could have changed it. It reads as the node does.
func harmless(body string) bool {
	d := json.NewDecoder(strings.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return true
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return true
		}
		var value any
		if d.Decode(&value) != nil {
			return true
		}
		switch key {
		case "command":
			if list, ok := value.([]any); ok && len(list) > 0 && !slices.ContainsFunc(commands, func(c []any) bool { return slices.Equal(c, list) }) {
				return false
			}
		case "replicas":
			if n, ok := value.(float64); ok && n > 3 && n <= 100_000 {
				return false
			}
		}
	}
	return true
}
