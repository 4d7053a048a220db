package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadCommandLines: each is refused before anything is asked of a node (the
// fake would panic), with words that name the fault.
func TestBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ line, words string }{
		{"rnu nginx", `there is no command "orch rnu"`},
		{"rnu nginx", "did you mean rm or run?"},
		{"node frobnicate", `there is no command "orch node frobnicate"`},
		{"help nosuch", `there is no command "orch nosuch"`},
		{"--nosuch ps", "unknown flag: --nosuch"},
		{"ps --fitler x=y", "unknown flag: --fitler"},
		{"ps --fitler x=y", "did you mean --filter?"},
		{"jbos", "did you mean jobs?"},
		{"delete web", "did you mean rm?"},
		{"completion tcsh", `there is no command "orch completion tcsh"`},
		{"start web", "hint: to start a stopped job: orch restart web"},
		{"run", "an image is missing"},
		{"run NGINX", `"NGINX" is no image: repository name (library/NGINX) must be lowercase`},
		{"run nginx:", `"nginx:" is no image: invalid reference format`},
		{"run --driver process", "a command is missing"},
		{"run --driver lxc nginx", `driver: "lxc" is none of docker, process`},
		{"run --name Web nginx", `"Web" is not a job name`},
		{"run --name= nginx", "--name is empty"},
		{"run --name a.b nginx", `"a.b" is not a job name`},
		{"run --name web.0 nginx", `"web.0" is not a job name`},
		{"run --name web/0 nginx", `"web/0" is not a job name`},
		{"run --name web\x1b[2J nginx", `"web\x1b[2J" is not a job name`},
		{"run --name " + strings.Repeat("x", 300) + " nginx", "1 to 63 of a-z"},
		{"run -n 1e12 nginx", `invalid argument "1e12"`},
		{"run -n 100001 nginx", "replicas: must be from 0 to 100000"},
		{"run -n -1 nginx", "replicas: must be from 0 to 100000"},
		{"run -n many nginx", "invalid argument \"many\""},
		{"run --type global nginx", "global jobs are not in this version"},
		{"run --cpus lots nginx", `--cpus: "lots" is not a number of cpus`},
		{"run --cpus x nginx", `--cpus: "x" is not a number of cpus`},
		{"run --cpus 1e300 nginx", "out of range"},
		{"run -m 12Q nginx", `--memory: "12Q" is not an amount of memory (try 64MiB)`},
		{"run -m -5m nginx", "is not an amount of memory"},
		{"run -p 99999:80 nginx", `"99999" is not a port (1 to 65535)`},
		{"run -p 0:80 nginx", `"0" is not a port`},
		{"run --timeout -1s nginx", "it is negative"},
		{"run -f " + dir, "is a directory"},
		{"run -f -", "standard input: it is empty"},
		{"run --cpus 0.0001 nginx", "finer than a thousandth"},
		{"run -m 12parsecs nginx", `--memory: "12parsecs" is not an amount of memory`},
		{"run -m 64m --reserve-memory 1g nginx", "limits/memory: must be"},
		{"run -e =x nginx", "the name is missing"},
		{"run -e HOME_SWEET nginx", "HOME_SWEET: the variable is not set here, or empty"},
		{"run -e ORCH_X=1 nginx", "names that begin with ORCH_ are set by orch"},
		{"run --env-file /nosuch/file nginx", "--env-file /nosuch/file: no such file or directory"},
		{"run --env-file " + file("env", "# fine\nA=1\n=x\n") + " nginx", "line 3"},
		{"run -p 80 nginx", "write HOST:TARGET, as 80:80"},
		{"run -p 127.0.0.1:80:80 nginx", "an address cannot be given"},
		{"run -p 80:99999 nginx", `"99999" is not a port`},
		{"run -p 80:80/sctp nginx", `the protocol "sctp" is none of tcp, udp`},
		{"run -p 80:80 -p 80:81 nginx", "80/tcp is published twice"},
		{"run -l =x nginx", "a label needs a key"},
		{"run --restart sometimes nginx", `"sometimes" is none of always`},
		{"run --restart always:3 nginx", `--restart "always:3" is none of`},
		{"node cordon", "the name of a node is missing: orch node cordon NODE..."},
		{"node label", "the name of a node is missing: orch node label NODE..."},
		{"node label vps1", "the labels are missing: orch node label NODE K=V... K-..."},
		{"node label vps1 zone", "write zone=VALUE to set it, zone- to take it back"},
		{"node label vps1 zone=a zone-", "zone is there twice"},
		{"node label vps1 -- -=a", `"-=a": "-" is no label key`},
		{"node label vps1 -- -", `"-": a label needs a key`},
		{"run --stop-timeout soon nginx", "it is not a length of time"},
		{"run --stop-timeout=-5s nginx", "it is negative"},
		{"run --stop-timeout 2h nginx", "stop_timeout: must be from 0s to 1h0m0s"},
		{"run --max-parallel 0 nginx", "max_parallel: must be from 1"},
		{"run --on-partition panic nginx", `on_partition: "panic" is none of replace, freeze`},
		{"run --pull often nginx", `pull: "often" is none of missing, always, never`},
		{"run -o yaml nginx", `-o "yaml" is none of table, wide, json`},
		{"run -v /data nginx", `-v "/data": write SOURCE:TARGET`},
		{"run -v ./data:/data nginx", "the source is on the task's node, not here"},
		{"run -v /a:/b:z nginx", `-v "/a:/b:z": "z" is none of ro, rw`},
		{"run -v data:/data nginx", "volumes/0/type: named volumes are not in this version"},
		{"run --device /a:/b:rw:x nginx", `--device "/a:/b:rw:x": write DEVICE`},
		{"run --device /dev/a:no nginx", `devices/0/permissions: "no" is not made of r, w and m`},
		{"run --network mine nginx", `--network "mine": there is host`},
		{"run --driver process --privileged sleep", "privileged: driver process gives its tasks"},
		{"run -f /nosuch/job.json", "no such file or directory"},
		{"run -f " + file("a.json", `{"name":"web","imge":"nginx"}`), `unknown field "imge"`},
		{"run -f " + file("b.json", `{"name":"web","replicas":"three"}`), "replicas: a string is of the wrong type"},
		{"run -f " + file("c.json", "{\n\"name\": nginx}"), "line 2 is not JSON"},
		{"run -f " + file("d.json", `{"name":"web"`), "the JSON breaks off"},
		{"run -f " + file("e.json", ""), "it is empty"},
		{"run -f " + file("f.json", `{"image":"a"}{"image":"b"}`), "there is more than one job"},
		{"run -f " + file("g.json", `["nginx"]`), "a job is a JSON object (this is: array)"},
		{"run -f " + file("h.json", `{"image":"a","stop_timeout":10}`), "stop_timeout"},
		{"run -f " + file("i.json", strings.Repeat(" ", 600<<10)), "is it a job?"},
		{"ps web.0", "web.0 is a task; its job is web"},
		{"ps Web", `"Web" is not the name of a job`},
		{"ps ../../etc", "is not the name of a job"},
		{"ps -f colour=red", `the filter "colour" is none of job, node, state`},
		{"ps -f state", `the filter "state" is not KEY=VALUE`},
		{"ps -f state=happy", `-f state "happy" is none of pending`},
		{"jobs -f status=happy", `-f status "happy" is none of pending, running`},
		{"jobs -f type=x", `-f type "x" is none of service, batch`},
		{"nodes -f status=happy", `-f status "happy" is none of starting, ready`},
		{"ps -o xml", `-o "xml" is none of table`},
		{"ps -o", "flag needs an argument"},
		{"jobs -f nope=1", `the filter "nope" is none of type, status, project, label`},
		{"nodes -f nope=1", `the filter "nope" is none of status, driver, label`},
		{"ps -q --format x", "-q and another form of output do not go together"},
		{"inspect", "a name is missing"},
		{"inspect -o table web", `-o "table" is none of json, ndjson, name`},
		{"inspect --type pod web", `--type "pod" is none of task, job, node`},
		{"node drain", "the name of a node is missing"},
		{"node resume -o xml a", `-o "xml" is none of`},
		{"node inspect", "a name is missing"},
		{"scale web=", "must be from 0 to 100000"},
		{"scale web=1e3", "must be from 0 to 100000"},
		{"scale =3", `"" is not the name of a job`},
		{"stop -- -x", `"-x" is not the name of a job`},
		{"version -o xml", `-o "xml" is none of table`},
		{"--api , ps", "no address of an API is given"},
		{"--api http:// ps", "the host is missing"},
		{"--color x", `--color "x" is none of`},
		{"ps -o csv --format x", "-o and --format do not go together"},
		{"ps --format {{", `--format "{{": unclosed action`},
		{"ps --format {{nosuch}}", `function "nosuch" not defined`},
		{"ps --format {{.Nmae}}", "there is no field .Nmae; there are .ID .Attempt .Job"},
		{"jobs --format {{.Status.Sate}}", "there is no field .Sate there"},
		{"ps --color sometimes", `--color "sometimes" is none of auto, always, never`},
		{"ps -q -o wide", "do not go together"},
		{"jobs web", `orch jobs takes no "web"`},
		{"nodes x", `orch nodes takes no "x"`},
		{"node rm", "the name of a node is missing"},
		{"logs", "a job or task is missing"},
		{"logs web.x", "is neither a job nor a task"},
		{"logs -n some web", `-n "some" is neither a number`},
		{"logs --since yesterday web", `--since "yesterday"`},
		{"explain", "one job or task is needed"},
		{"explain web.0 web.1", "one job or task is needed"},
		{"explain web/../x", "is neither a job nor a task"},
		{"recover ../web", `"../web" is not the name of a job`},
		{"recover aside-x.json", `"aside-x.json" is not the name of a job`},
		{"recover web web", "web is given twice"},
		{"recover -o xml", `-o "xml" is none of`},
		{"check web", `orch check takes no "web"`},
		{"check --wait soon", "it is not a length of time"},
		{"scale", "the name of a job is missing"},
		{"scale web", `"web" is not JOB=N`},
		{"scale web=many", "must be from 0 to 100000"},
		{"scale web -- -1", "must be from 0 to 100000"},
		{"scale web=1 web=2", "web is given twice"},
		{"stop", "the name of a job is missing"},
		{"rm web web", "web is given twice"},
		{"stop web.1", "web.1 is a task"},
		{"rm --timeout never web", "it is not a length of time"},
		{"version now", `orch version takes no "now"`},
		{"--api nowhere ps", "the port is missing"},
		{"--api https://n1:7070 ps", "only http and unix are spoken"},
	} {
		f := &fake{}
		got := orch(f, strings.Fields(c.line)...)
		if got.code != exitUsage || len(f.calls) > 0 || got.out != "" {
			t.Errorf("orch %s: got exit %d and %q on stdout, want %d and nothing", c.line, got.code, got.out, exitUsage)
		}
		if !strings.HasPrefix(got.err, "error: ") || !strings.Contains(got.err, c.words) {
			t.Errorf("orch %s: got %q, want an error with %q", c.line, got.err, c.words)
		}
		if first := strings.TrimPrefix(got.err, "error: "); first != "" && first[0] >= 'A' && first[0] <= 'Z' {
			t.Errorf("orch %s: got %q, want it in lower case", c.line, got.err)
		}
		if strings.ContainsAny(got.err, "\x1b\x00") {
			t.Errorf("orch %s: got %q, with control characters", c.line, got.err)
		}
		if strings.Count(got.err, "\n") > 2 || strings.Contains(got.err, "api.") || strings.Contains(got.err, "Go ") {
			t.Errorf("orch %s: got %q, want two lines without words of the program's inside", c.line, got.err)
		}
	}
}
