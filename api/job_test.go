package api_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

func webJob() api.Job {
	job := api.NewJob()
	job.Name, job.Image = "web", "nginx:1.27"
	return job
}

func procJob() api.Job {
	job := api.NewJob()
	job.Name, job.Driver, job.Command = "proc", "process", []string{"sleep", "1d"}
	return job
}

func TestValidJobs(t *testing.T) {
	for what, change := range map[string]func(*api.Job){
		"the defaults":      func(*api.Job) {},
		"a process":         func(j *api.Job) { *j = procJob() },
		"batch":             func(j *api.Job) { j.Type = api.BatchJob },
		"no replicas":       func(j *api.Job) { j.Replicas = 0 },
		"most replicas":     func(j *api.Job) { j.Replicas = api.MaxReplicas },
		"no resources":      func(j *api.Job) { j.Resources = api.Resources{} },
		"limits":            func(j *api.Job) { j.Limits = j.Resources },
		"one limit":         func(j *api.Job) { j.Limits.Memory = 1 << 50 },
		"nil lists":         func(j *api.Job) { j.Command, j.Env, j.Labels, j.Ports = nil, nil, nil, nil },
		"short port":        func(j *api.Job) { j.Ports = []api.Port{{Target: 80, Published: 80}} },
		"tcp and udp":       func(j *api.Job) { j.Ports = []api.Port{{80, 53, "tcp", "host"}, {80, 53, "udp", "host"}} },
		"process port":      func(j *api.Job) { *j = procJob(); j.Ports = []api.Port{{Published: 80}} },
		"digest image":      func(j *api.Job) { j.Image = "ghcr.io:443/a/b@sha256:" + strings.Repeat("0", 64) },
		"no grace":          func(j *api.Job) { j.StopTimeout = 0 },
		"odd values":        func(j *api.Job) { j.Env = map[string]string{"_A1": "ü \n\"'$(x)"} },
		"restart no":        func(j *api.Job) { j.Restart = api.Restart{Policy: "no"} },
		"a long argument":   func(j *api.Job) { j.Command = []string{strings.Repeat("x", 32<<10)} },
		"what was read":     func(j *api.Job) { j.ID, j.Status, j.Generation = "web-1", &api.Status{}, 7 },
		"a longer failover": func(j *api.Job) { j.FailoverAfter = api.Duration(7 * 24 * time.Hour) },
	} {
		job := webJob()
		change(&job)
		if err := job.Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestInvalidJobs(t *testing.T) {
	big := api.Bytes(math.MaxInt64)
	tests := []struct {
		what   string
		change func(*api.Job)
		code   api.Code
		fields string // the pointers, in order
	}{
		{"zero value", func(j *api.Job) { *j = api.Job{} }, api.Invalid, "#/name #/type #/driver #/restart/policy #/start_timeout #/max_parallel #/on_partition #/pull"},
		{"no name", func(j *api.Job) { j.Name = "" }, api.Invalid, "#/name"},
		{"a path", func(j *api.Job) { j.Name = "../../etc" }, api.Invalid, "#/name"},
		{"a dot", func(j *api.Job) { j.Name = "web.0" }, api.Invalid, "#/name"},
		{"a long name", func(j *api.Job) { j.Name = strings.Repeat("a", 1<<20) }, api.TooLarge, ""},
		{"odd type", func(j *api.Job) { j.Type = "daemon" }, api.Invalid, "#/type"},
		{"global", func(j *api.Job) { j.Type = api.GlobalJob }, api.NotSupported, "#/type"},
		{"global and wrong", func(j *api.Job) { j.Type, j.Replicas = api.GlobalJob, -1 }, api.Invalid, "#/replicas #/type"},
		{"odd driver", func(j *api.Job) { j.Driver = "podman" }, api.Invalid, "#/driver"},
		{"no image", func(j *api.Job) { j.Image = "" }, api.Invalid, "#/image"},
		{"an option as image", func(j *api.Job) { j.Image = "--privileged" }, api.Invalid, "#/image"},
		{"two words", func(j *api.Job) { j.Image = "nginx -v" }, api.Invalid, "#/image"},
		{"a NUL", func(j *api.Job) { j.Image = "nginx\x00" }, api.Invalid, "#/image"},
		{"a long image", func(j *api.Job) { j.Image = strings.Repeat("a", 513) }, api.Invalid, "#/image"},
		{"process, no command", func(j *api.Job) { *j = procJob(); j.Command = nil }, api.Invalid, "#/command"},
		{"process, empty command", func(j *api.Job) { *j = procJob(); j.Command = []string{""} }, api.Invalid, "#/command"},
		{"process with an image", func(j *api.Job) { *j = procJob(); j.Image = "nginx" }, api.Invalid, "#/image"},
		{"NUL argument", func(j *api.Job) { j.Command = []string{"a", "b\x00"} }, api.Invalid, "#/command/1"},
		{"long argument", func(j *api.Job) { j.Command = []string{strings.Repeat("x", 32<<10+1)} }, api.Invalid, "#/command/0"},
		{"env =", func(j *api.Job) { j.Env["A=B"] = "" }, api.Invalid, "#/env/A=B"},
		{"env empty", func(j *api.Job) { j.Env[""] = "" }, api.Invalid, "#/env/"},
		{"env long", func(j *api.Job) { j.Env[strings.Repeat("-", 1000)] = "" }, api.Invalid, "#/env/" + strings.Repeat("-", 80) + "%E2%80%A6"},
		{"env of ours", func(j *api.Job) { j.Env["ORCH_TASK"] = "x" }, api.Invalid, "#/env/ORCH_TASK"},
		{"env NUL", func(j *api.Job) { j.Env["A"] = "\x00" }, api.Invalid, "#/env/A"},
		{"env of three faults", func(j *api.Job) { j.Env = map[string]string{"C": "\x00", "A": "\x00", "B": "\x00"} }, api.Invalid, "#/env/A #/env/B #/env/C"},
		{"label key", func(j *api.Job) { j.Labels["a b/~"] = "" }, api.Invalid, "#/labels/a%20b~1~0"},
		{"label value", func(j *api.Job) { j.Labels["a"] = "\x1b[2J" }, api.Invalid, "#/labels/a"},
		{"replicas -1", func(j *api.Job) { j.Replicas = -1 }, api.Invalid, "#/replicas"},
		{"replicas over", func(j *api.Job) { j.Replicas = api.MaxReplicas + 1 }, api.Invalid, "#/replicas"},
		{"replicas absurd", func(j *api.Job) { j.Replicas = math.MaxInt }, api.Invalid, "#/replicas"},
		{"resources negative", func(j *api.Job) { j.Resources = api.Resources{CPUs: -1, Memory: -1} }, api.Invalid, "#/resources/cpus #/resources/memory"},
		{"resources absurd", func(j *api.Job) { j.Resources = api.Resources{CPUs: math.MaxInt64, Memory: big} }, api.Invalid, "#/resources/cpus #/resources/memory"},
		{"limits negative", func(j *api.Job) { j.Limits = api.Resources{CPUs: -1, Memory: -1} }, api.Invalid, "#/limits/cpus #/limits/memory"},
		{"limits absurd", func(j *api.Job) { j.Limits = api.Resources{CPUs: math.MaxInt64, Memory: big} }, api.Invalid, "#/limits/cpus #/limits/memory"},
		{"limits below", func(j *api.Job) { j.Limits = api.Resources{CPUs: 99, Memory: 1} }, api.Invalid, "#/limits/cpus #/limits/memory"},
		{"port 0", func(j *api.Job) { j.Ports = []api.Port{{}} }, api.Invalid, "#/ports/0/published #/ports/0/target"},
		{"port over", func(j *api.Job) { j.Ports = []api.Port{{70000, 65536, "tcp", "host"}} }, api.Invalid, "#/ports/0/published #/ports/0/target"},
		{"port negative", func(j *api.Job) { j.Ports = []api.Port{{-1, -1, "tcp", "host"}} }, api.Invalid, "#/ports/0/published #/ports/0/target"},
		{"port kinds", func(j *api.Job) { j.Ports = []api.Port{{80, 80, "sctp", "ingress"}} }, api.Invalid, "#/ports/0/protocol #/ports/0/mode"},
		{"port twice", func(j *api.Job) { j.Ports = []api.Port{{80, 80, "", ""}, {81, 80, "tcp", "host"}} }, api.Invalid, "#/ports/1/published"},
		{"many ports", func(j *api.Job) {
			for i := range 65 {
				j.Ports = append(j.Ports, api.Port{Target: 80, Published: 1000 + i})
			}
		}, api.Invalid, "#/ports"},
		{"restart", func(j *api.Job) { j.Restart = api.Restart{Policy: "sometimes", Attempts: -1} }, api.Invalid, "#/restart/policy #/restart/attempts"},
		{"restarts absurd", func(j *api.Job) { j.Restart.Attempts = math.MaxInt }, api.Invalid, "#/restart/attempts"},
		{"times negative", func(j *api.Job) { j.StopTimeout, j.StartTimeout, j.FailoverAfter = -1, -1, -1 }, api.Invalid, "#/stop_timeout #/start_timeout #/failover_after"},
		{"times absurd", func(j *api.Job) {
			j.StopTimeout, j.StartTimeout, j.FailoverAfter = math.MaxInt64, math.MaxInt64, math.MaxInt64
		}, api.Invalid, "#/stop_timeout #/start_timeout #/failover_after"},
		{"no start", func(j *api.Job) { j.StartTimeout = 0 }, api.Invalid, "#/start_timeout"},
		{"no moves", func(j *api.Job) { j.MaxParallel = 0 }, api.Invalid, "#/max_parallel"},
		{"odd partition", func(j *api.Job) { j.OnPartition = "panic" }, api.Invalid, "#/on_partition"},
		{"odd pull", func(j *api.Job) { j.Pull = "daily" }, api.Invalid, "#/pull"},
		{"too large", func(j *api.Job) { j.Command = slices.Repeat([]string{strings.Repeat("x", 32<<10)}, 9) }, api.TooLarge, ""},
	}
	for _, tt := range tests {
		job := webJob()
		tt.change(&job)
		err := job.Validate()
		var e *api.Error
		if !errors.As(err, &e) || e.Code != tt.code {
			t.Errorf("%s: got %v, want %s", tt.what, err, tt.code)
			continue
		}
		var fields []string
		for _, f := range e.Fields {
			fields = append(fields, f.Pointer)
		}
		if got := strings.Join(fields, " "); got != tt.fields {
			t.Errorf("%s: faults at %q, want %q (%v)", tt.what, got, tt.fields, err)
		}
		if len(err.Error()) > 2000 {
			t.Errorf("%s: the error has %d bytes", tt.what, len(err.Error()))
		}
	}
}

func TestSpecAndValidateChangeNothingOfTheirJob(t *testing.T) {
	job := webJob()
	job.Ports = []api.Port{{Target: 80, Published: 80}}
	job.ID, job.Status = "web-1", &api.Status{}
	spec := job.Spec()
	_ = job.Validate()
	_ = job.TemplateHash(1)
	if job.Ports[0].Protocol != "" || job.ID == "" || job.Status == nil {
		t.Errorf("the job was changed: %+v", job)
	}
	if want := (api.Port{Target: 80, Published: 80, Protocol: "tcp", Mode: "host"}); spec.Ports[0] != want {
		t.Errorf("port of the spec: got %+v, want %+v", spec.Ports[0], want)
	}
	if !reflect.DeepEqual(spec.Spec(), spec) {
		t.Error("the spec of a spec is another")
	}
	b, err := json.Marshal(api.Job{}.Spec())
	if err != nil || strings.Contains(string(b), "null") {
		t.Errorf("a spec has a null: %s, %v", b, err)
	}
}

func TestTemplateHash(t *testing.T) {
	base := webJob()
	base.Env = map[string]string{"A": "1", "B": "2"}
	base.Ports = []api.Port{{Target: 80, Published: 80, Protocol: "tcp", Mode: "host"}}
	want := base.TemplateHash(0)
	if want != "159e3f78dc38" { // of tasks that run: another would restart them all
		t.Errorf("the hash is %q", want)
	}
	if len(want) != 12 {
		t.Errorf("hash %q is not 12 digits", want)
	}
	hash := func(change func(*api.Job)) string {
		job := base
		job.Env, job.Ports = maps.Clone(base.Env), slices.Clone(base.Ports)
		change(&job)
		return job.TemplateHash(0)
	}
	for what, change := range map[string]func(*api.Job){
		"nothing":        func(*api.Job) {},
		"name":           func(j *api.Job) { j.Name = "other" },
		"replicas":       func(j *api.Job) { j.Replicas = 9 },
		"labels":         func(j *api.Job) { j.Labels = map[string]string{"a": "b"} },
		"nil labels":     func(j *api.Job) { j.Labels = nil },
		"nil command":    func(j *api.Job) { j.Command = nil },
		"short port":     func(j *api.Job) { j.Ports = []api.Port{{Target: 80, Published: 80}} },
		"restart":        func(j *api.Job) { j.Restart = api.Restart{Policy: "no"} },
		"start_timeout":  func(j *api.Job) { j.StartTimeout = 1 },
		"failover_after": func(j *api.Job) { j.FailoverAfter = 1 },
		"on_partition":   func(j *api.Job) { j.OnPartition = "freeze" },
		"max_parallel":   func(j *api.Job) { j.MaxParallel = 9 },
		"pack":           func(j *api.Job) { j.Pack = true },
		"read-only": func(j *api.Job) {
			j.ID, j.Generation, j.ETag, j.Coordinator, j.Status, j.CreatedAt = "x", 9, "x", "x", &api.Status{}, time.Now()
		},
	} {
		if got := hash(change); got != want {
			t.Errorf("%s changes the hash: tasks would restart", what)
		}
	}
	seen := map[string]string{want: "nothing", base.TemplateHash(1): "a restart", base.TemplateHash(2): "two restarts"}
	for what, change := range map[string]func(*api.Job){
		"type":         func(j *api.Job) { j.Type = api.BatchJob },
		"driver":       func(j *api.Job) { j.Driver = "process" },
		"image":        func(j *api.Job) { j.Image = "nginx:1.28" },
		"command":      func(j *api.Job) { j.Command = []string{"a", "b"} },
		"words":        func(j *api.Job) { j.Command = []string{"a b"} },
		"env value":    func(j *api.Job) { j.Env["A"] = "2" },
		"env name":     func(j *api.Job) { delete(j.Env, "A"); j.Env["C"] = "1" },
		"cpus":         func(j *api.Job) { j.Resources.CPUs++ },
		"memory":       func(j *api.Job) { j.Resources.Memory++ },
		"limit":        func(j *api.Job) { j.Limits.Memory = j.Resources.Memory },
		"port":         func(j *api.Job) { j.Ports[0].Published = 81 },
		"protocol":     func(j *api.Job) { j.Ports[0].Protocol = "udp" },
		"no port":      func(j *api.Job) { j.Ports = nil },
		"stop_timeout": func(j *api.Job) { j.StopTimeout++ },
		"pull":         func(j *api.Job) { j.Pull = "always" },
		"privileged":   func(j *api.Job) { j.Privileged = true },
		"namespace":    func(j *api.Job) { j.HostNamespaces = []string{"pid"} },
		"volume":       func(j *api.Job) { j.Volumes = bind("/srv").Volumes },
		"another":      func(j *api.Job) { j.Volumes = bind("/srv/a").Volumes },
		"device":       func(j *api.Job) { j.Devices = []api.Device{{Source: "/dev/fuse"}} },
	} {
		got := hash(change)
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s have the same hash", what, other)
		}
		seen[got] = what
	}
	for range 20 { // the order of a map is another each time
		if got := hash(func(*api.Job) {}); got != want {
			t.Fatal("the hash of one job differs from time to time")
		}
	}
}

func TestDefaultsAreTheirOwn(t *testing.T) {
	a, b := api.NewJob(), api.NewJob()
	a.Env["A"], a.Labels["a"] = "1", "1"
	if len(b.Env)+len(b.Labels) > 0 {
		t.Error("two new jobs share a map")
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"name":"web","image":"nginx"}`))
	f.Add([]byte(`{"name":"p","driver":"process","command":["a"],"ports":[{"published":1}],"limits":{"cpus":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		job := api.NewJob()
		if json.Unmarshal(b, &job) != nil || job.Validate() != nil {
			return
		}
		// A job that can be stored survives being written and read.
		spec := job.Spec()
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var again api.Job
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if !reflect.DeepEqual(again, spec) || again.TemplateHash(1) != job.TemplateHash(1) || again.Validate() != nil {
			t.Errorf("%+v became %+v", spec, again)
		}
	})
}
