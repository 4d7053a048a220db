package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

func TestRunMakesTheJobThatTheFlagsAskFor(t *testing.T) {
	dir := t.TempDir()
	job := filepath.Join(dir, "job.json")
	text := `{"name":"web","image":"nginx:1","replicas":2,"env":{"A":"file"},"command":null,"ports":[{"published":80,"target":80}],"generation":9,"status":{"state":"running"}}`
	if err := os.WriteFile(job, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(dir, "env")
	if err := os.WriteFile(env, []byte("# a comment\n\nA=\"quoted\"\nB=from file\nC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	docker := func(change func(*api.Job)) api.Job {
		j := api.NewJob()
		j.Name, j.Image = "web", "nginx"
		change(&j)
		return j
	}
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  api.Job
	}{
		"defaults": {strings.Fields("nginx"), "", docker(func(*api.Job) {})},
		"flags end at the image": {strings.Fields("nginx nginx -g daemon -p 1:2"), "", docker(func(j *api.Job) {
			j.Command = []string{"nginx", "-g", "daemon", "-p", "1:2"}
		})},
		"all flags": {strings.Fields("-n 3 --type batch --cpus .5 -m 512MB --reserve-cpu 0.25 --reserve-memory 64m -e A=1 -e B=x=y -e C --env-file " + env +
			" -p 80:8080 -p 53:53/udp -l tier=front -l bare --restart on-failure:5 --stop-timeout 20 --start-timeout 1m --failover-after 90s --on-partition freeze --max-parallel 2 --pull always --pack nginx"), "",
			docker(func(j *api.Job) {
				j.Replicas, j.Type, j.OnPartition, j.MaxParallel, j.Pull, j.Pack = 3, api.BatchJob, "freeze", 2, "always", true
				j.Resources, j.Limits = api.Resources{CPUs: 250, Memory: 64 << 20}, api.Resources{CPUs: 500, Memory: 512 << 20}
				j.Env, j.Labels = map[string]string{"A": "1", "B": "x=y", "C": "from here"}, map[string]string{"tier": "front", "bare": ""}
				j.Ports = []api.Port{{Target: 8080, Published: 80, Protocol: "tcp", Mode: "host"}, {Target: 53, Published: 53, Protocol: "udp", Mode: "host"}}
				j.Restart = api.Restart{Policy: "on-failure", Attempts: 5}
				j.StopTimeout, j.StartTimeout, j.FailoverAfter = api.Duration(20*time.Second), api.Duration(time.Minute), api.Duration(90*time.Second)
			})},
		"limits follow -m": {strings.Fields("-m 1g --cpus 2 nginx"), "", docker(func(j *api.Job) {
			j.Resources = api.Resources{CPUs: 2000, Memory: 1 << 30}
			j.Limits = j.Resources
		})},
		"only a reservation": {strings.Fields("--reserve-memory 1g nginx"), "", docker(func(j *api.Job) { j.Resources.Memory = 1 << 30 })},
		"a process": {strings.Fields("--driver process -p 8080 -- sleep -x 1d"), "", docker(func(j *api.Job) {
			j.Driver, j.Image, j.Command = "process", "", []string{"sleep", "-x", "1d"}
			j.Ports = []api.Port{{Published: 8080, Protocol: "tcp", Mode: "host"}}
		})},
		"a file": {strings.Fields("-f " + job), "", docker(func(j *api.Job) {
			j.Image, j.Replicas, j.Env = "nginx:1", 2, map[string]string{"A": "file"}
			j.Ports = []api.Port{{Target: 80, Published: 80, Protocol: "tcp", Mode: "host"}}
		})},
		"flags override the file": {strings.Fields("-n 7 -e A=flag -p 81:81 -f " + job + " nginx:2"), "", docker(func(j *api.Job) {
			j.Image, j.Replicas, j.Env = "nginx:2", 7, map[string]string{"A": "flag"}
			j.Ports = []api.Port{{Target: 81, Published: 81, Protocol: "tcp", Mode: "host"}}
		})},
		"what nodes must allow": {strings.Fields("--privileged -v /srv/data:/data -v /etc/:/host/etc:ro -v /x:/y:rw --device /dev/fuse --device /dev/sda:r --device /dev/sdb:/dev/disk:rw --network host --pid host --ipc host nginx"), "",
			docker(func(j *api.Job) {
				j.Privileged, j.HostNamespaces = true, []string{"ipc", "network", "pid"}
				j.Volumes = []api.Volume{{Type: "bind", Source: "/srv/data", Target: "/data"}, {Type: "bind", Source: "/etc", Target: "/host/etc", ReadOnly: true}, {Type: "bind", Source: "/x", Target: "/y"}}
				j.Devices = []api.Device{{Source: "/dev/fuse", Target: "/dev/fuse", Permissions: "rwm"}, {Source: "/dev/sda", Target: "/dev/sda", Permissions: "r"}, {Source: "/dev/sdb", Target: "/dev/disk", Permissions: "rw"}}
			})},
		"stdin": {strings.Fields("-f -"), `{"image":"nginx","resources":{"memory":"1g"}}`, docker(func(j *api.Job) { j.Resources.Memory = 1 << 30 })},
	} {
		f := newCluster(nil)
		got := call(f, setup{stdin: c.stdin, env: map[string]string{"C": "from here"}, args: append([]string{"run", "-d", "--name", "web"}, c.args...)})
		if got.code != 0 || len(f.jobs) != 1 {
			t.Errorf("%s: got %s", name, got.text())
			continue
		}
		sent, _ := json.Marshal(f.jobs[0].Spec())
		want, _ := json.Marshal(c.want.Spec())
		if string(sent) != string(want) {
			t.Errorf("%s: sent\n%s\nwant\n%s", name, sent, want)
		}
	}
}

func TestTokenAndAddresses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"ORCH_TOKEN": "from-env"}, "from-env"},
		{map[string]string{"ORCH_TOKEN": "from-env", "ORCH_TOKEN_FILE": file}, "from-file"},
	} {
		f := exampleCluster()
		if got := call(f, setup{env: c.env, args: []string{"jobs"}}); got.code != 0 || f.token != c.want {
			t.Errorf("%v: sent the token %q, want %q (exit %d)", c.env, f.token, c.want, got.code)
		}
	}
	got := call(exampleCluster(), setup{env: map[string]string{"ORCH_TOKEN_FILE": "/nosuch/token"}, args: []string{"jobs"}})
	if got.code != exitError || !strings.Contains(got.err, "the token of ORCH_TOKEN_FILE: open /nosuch/token") {
		t.Errorf("without the file: got %s", got.text())
	}
	got = call(exampleCluster(), setup{env: map[string]string{"ORCH_API": "n1"}, args: []string{"jobs"}})
	if got.code != exitUsage || !strings.Contains(got.err, "ORCH_API: ") {
		t.Errorf("with a bad ORCH_API: got %s", got.text())
	}
}
