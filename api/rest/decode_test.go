package rest_test

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// post sends a body as it is to POST /v1/jobs of a fresh node.
func post(body string) (*fake, *httptest.ResponseRecorder) {
	f := newFake()
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("POST", "http://localhost/v1/jobs", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	rest.NewServer(rest.Config{Service: f, View: testView, Log: silent()}).ServeHTTP(rec, req)
	return f, rec
}

// TestWhatTheClusterSaysIsSkipped takes the names of the read-only fields from
// what Job.Spec leaves out.
func TestWhatTheClusterSaysIsSkipped(t *testing.T) {
	full := webJob()
	full.ID, full.Generation, full.ETag, full.CreatedAt, full.UpdatedAt = "x", 1, "x", noon, noon
	full.Coordinator, full.Status, full.Template, full.Durability, full.Plan = nodeA, &api.Status{}, "x", &api.Durability{}, &api.Plan{}
	full.FailoverAfter, full.Pack, full.Privileged, full.Limits = 1, true, true, full.Resources
	before, after := reflect.ValueOf(full), reflect.ValueOf(full.Spec())
	skipped := 0
	for i := range before.NumField() {
		name, _, _ := strings.Cut(before.Type().Field(i).Tag.Get("json"), ",")
		if before.Field(i).IsZero() {
			t.Fatalf("this test does not set %s", name)
		}
		readOnly := after.Field(i).IsZero()
		_, rec := post(`{"name":"web","image":"x","` + name + `":[[]]}`) // the right type of no field
		equal(t, name+" may be anything", rec.Code == 201, readOnly)
		if readOnly {
			skipped++
		}
	}
	equal(t, "read-only fields", skipped, 10)
}

func TestAnyValidJobArrivesAsItWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aZ0 <&>\"\\\u2028ü😀\t/~")), 0, 8, -1)
		word := rapid.StringMatching(`[A-NP-Za-z][A-Za-z0-9_]{0,8}[A-Za-z0-9]`)
		job := api.NewJob()
		job.Name = rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?`).Draw(t, "name")
		job.Image = "nginx"
		job.Type = rapid.SampledFrom([]api.JobType{api.ServiceJob, api.BatchJob}).Draw(t, "type")
		job.Command = rapid.SliceOfN(text, 0, 4).Draw(t, "command")
		job.Env = rapid.MapOfN(word, text, 0, 4).Draw(t, "env")
		job.Labels = rapid.MapOfN(word, word, 0, 4).Draw(t, "labels")
		job.Replicas = rapid.IntRange(0, api.MaxReplicas).Draw(t, "replicas")
		job.Resources.CPUs = api.CPUs(rapid.Int64Range(0, 1e9).Draw(t, "cpus"))
		job.Resources.Memory = api.Bytes(rapid.Int64Range(0, 1<<50).Draw(t, "memory"))
		job.Limits = rapid.SampledFrom([]api.Resources{{}, job.Resources}).Draw(t, "limits")
		job.StopTimeout = api.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "stop"))
		job.Pack = rapid.Bool().Draw(t, "pack")
		job.HostNamespaces = rapid.SampledFrom([][]string{{}, {"pid"}, {"ipc", "network"}}).Draw(t, "namespaces")
		job.Volumes = rapid.SampledFrom([][]api.Volume{{}, {{Type: "bind", Source: "/ü", Target: "/t", ReadOnly: true}}}).Draw(t, "volumes")
		job.Devices = rapid.SampledFrom([][]api.Device{{}, {{Source: "/d", Target: "/e", Permissions: "r"}}}).Draw(t, "devices")
		for i := range rapid.IntRange(0, 3).Draw(t, "ports") {
			job.Ports = append(job.Ports, api.Port{Target: 8000 + i, Published: 8000 + i, Protocol: "udp", Mode: "host"})
		}
		body, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		f, rec := post(string(body))
		if rec.Code != 201 {
			t.Fatalf("got %d %s for %s", rec.Code, rec.Body, body)
		}
		if got := f.stored[job.Name].Spec(); !reflect.DeepEqual(got, job) {
			t.Fatalf("got  %+v\nwant %+v", got, job)
		}
	})
}

func TestFaultsAreBounded(t *testing.T) {
	_, rec := post(`{"name":"web","image":"x","command":[` + strings.Repeat("1,", 1000) + `1],"` + strings.Repeat("k", 10_000) + `":0,"limits":{"cpus":"` + strings.Repeat("9", 10_000) + `"}}`)
	equal(t, "status", rec.Code, 400)
	if rec.Body.Len() > 20_000 {
		t.Errorf("the answer has %d bytes", rec.Body.Len())
	}
	var p problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	equal(t, "faults", len(p.Errors), 50)
}

func FuzzSubmit(f *testing.F) {
	for _, body := range []string{`{"name":"web","image":"nginx"}`, `{"name":"w","driver":"process","command":["a"],"env":{"A":"1"},"ports":[{"published":1}]}`,
		`{"resources":{"cpus":"0.5","memory":"64MiB"},"stop_timeout":"10s","id":5}`, `null`, `[`, `{"a":{"b":[null]}}`, `{"name":null}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		node, rec := post(body)
		switch rec.Code {
		case 201:
			for _, job := range node.stored {
				if err := job.Validate(); err != nil {
					t.Errorf("stored a job that is not valid: %v", err)
				}
			}
		case 400, 413, 422:
			var p problem
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Code == "" || len(node.stored) > 0 {
				t.Errorf("a refusal that is none: %v %s", err, rec.Body)
			}
		default:
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
	})
}
