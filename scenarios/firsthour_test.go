package scenarios_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/runtime/docker/tinyimage"
)

// update writes the golden files anew (go test ./scenarios -run FirstHour -update).
var update = flag.Bool("update", false, "write the golden files anew")

// A transcript is what was typed and what came of it, made comparable.
type transcript struct{ strings.Builder }

// add takes in one line and its answer.
func (tr *transcript) add(m *machine, line string, s said) {
	fmt.Fprintf(tr, "%s$ %s\n", m.name, line)
	tr.WriteString(comparable(s.stdout))
	for l := range strings.Lines(comparable(s.stderr)) {
		tr.WriteString("! " + l)
	}
	if s.code != 0 {
		fmt.Fprintf(tr, "[exit %d]\n", s.code)
	}
}

// varies is what no two runs have in common, and what stands for it.
var varies = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT[\d:.]+Z?`), "TIME"},
	{regexp.MustCompile(`orch \d\S*`), "orch VERSION"},
	{regexp.MustCompile(`docker \d[\w.+]*`), "docker VERSION"},
	{regexp.MustCompile(`cluster [1-9A-Za-z]{8}\b`), "cluster ID"},
	{regexp.MustCompile(`\([1-9A-Za-z]{8}\)`), "(ID)"},
	{regexp.MustCompile(`\b\d+(\.\d+)? cpus, [\d.]+[KMG]iB`), "N cpus, M"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s|m|h)\b( ago)?|\bnow\b`), "AGO"},
	{regexp.MustCompile(` {2,}`), "  "},
}

// comparable is text without what varies.
func comparable(text string) string {
	for _, v := range varies {
		text = v.what.ReplaceAllString(text, v.as)
	}
	return text
}

// golden compares the transcript with the one that is kept.
func (tr *transcript) golden(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(tr.String()), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got := tr.String(); got != string(want) {
		t.Errorf("what was typed and answered differs from %s (-update writes it anew); got:\n%s\nwant:\n%s", path, got, want)
	}
}

// TestFirstHourWithDocker is the first hour of a person who knows docker and has
// rented three machines, typed as it would be: two with public addresses, and one at
// home that the others reach through a private network.
func TestFirstHourWithDocker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts real machines")
	}
	ctx := deadline(t, patience)
	net := newNetwork(t)
	vps1 := net.machine("vps1", "203.0.113.7/24", "100.64.0.3/24")
	vps2 := net.machine("vps2", "198.51.100.20/24", "100.64.0.4/24")
	home := net.machine("home", "192.168.1.9/24", "100.64.0.9/24")
	program, err := build("tiny", "../runtime/docker/tinyimage/tiny")
	must(t, err)
	for _, m := range []*machine{vps1, vps2, home} {
		for _, tag := range []string{"nginx:1.27", "nginx:1.28"} { // as if it had been pulled: there is no registry
			must(t, tinyimage.Import(ctx, m.Host(), tag, program))
		}
	}
	var tr transcript
	typed := func(m *machine, line string, code int) said {
		t.Helper()
		s := m.types(ctx, line)
		if s.code != code {
			t.Errorf("%s$ %s: exit code %d, want %d\n%s%s", m.name, line, s.code, code, s.stdout, s.stderr)
		}
		return s
	}
	kept := func(m *machine, line string, code int) { t.Helper(); tr.add(m, line, typed(m, line, code)) }

	// Three machines.
	vps1.agent(ctx, "orch start")
	tr.add(vps1, "orch start", said{stdout: vps1.out.String()})
	token := typed(vps1, "orch token", 0).stdout
	vps2.agent(ctx, "orch join 203.0.113.7 --token-file -", token)
	home.agent(ctx, "orch join 100.64.0.3 --token-file -", token)
	for _, m := range []*machine{vps1, vps2, home} {
		if said := m.out.String() + m.log.String(); strings.Contains(said, strings.TrimSpace(token)) {
			t.Errorf("%s says the token, which belongs on a terminal only", m.name)
		}
	}
	vps1.eventually(ctx, "orch nodes", func(s said) error { return lines(s.stdout, 3, " ready ") })

	// A job.
	const web = "orch run --name web --replicas 3 -p 80:80 -m 64MB nginx:1.27 listen 80"
	if s := typed(vps1, web, 0); s.stdout != "web\n" {
		t.Errorf("%s printed %q, want the name alone", web, s.stdout)
	}
	home.eventually(ctx, "orch ps", func(s said) error {
		return errors.Join(lines(s.stdout, 3, " running "), lines(s.stdout, 3, "80->80/tcp"), lines(s.stdout, 3, "64MiB"))
	})
	for _, addr := range []string{"203.0.113.7", "100.64.0.4", "100.64.0.9"} {
		vps1.eventually(ctx, "bash -c 'head -1 </dev/tcp/"+addr+"/80'", func(s said) error { return lines(s.stdout, 1, "") })
	}
	kept(vps1, "orch run --name web nginx:1.28", 4)
	kept(vps1, "orch start web", 2)
	if s := typed(vps1, "orch scale web=4", 5); !strings.Contains(s.stderr, "port 80/tcp is taken") { // everywhere
		t.Errorf("it does not say what is in the way")
	}

	// A machine is started anew.
	if code := vps2.shutdown(); code != 0 {
		t.Errorf("the agent of vps2 ended with %d at a shutdown, want 0", code)
	}
	vps1.eventually(ctx, "orch nodes", func(s said) error { return lines(s.stdout, 1, "restarting (") })
	vps2.Start()
	vps2.agent(ctx, "orch start")
	vps1.eventually(ctx, "orch ps --filter state=running", func(s said) error { return lines(s.stdout, 3, " running") })
	typed(vps1, "orch scale web 3", 0)

	// Why, and what it says.
	if s := typed(vps2, "orch explain web.0", 0); !strings.Contains(s.stdout, "first placement") { // the sheet may be gone with vps2's memory
		t.Errorf("orch explain web.0 does not say why")
	}
	typed(vps2, "orch explain web", 0)
	typed(vps1, "orch logs web", 0)

	// Another version, and the end.
	typed(vps1, "orch update web --image nginx:1.28", 0)
	vps1.eventually(ctx, "orch inspect web | grep -c nginx:1.28", func(s said) error { return lines(s.stdout, 1, "") })
	typed(vps1, "orch stop web", 0)
	vps1.eventually(ctx, "docker ps -q", func(s said) error { return lines(s.stdout, 0, "") })
	typed(vps1, "orch restart web", 0)
	typed(vps1, "orch rm web", 0)
	kept(vps1, "orch ps", 0)
	typed(home, "orch leave", 0)
	if code := home.ends(30 * time.Second); code != 0 {
		t.Errorf("the agent of home ended with %d after orch leave, want 0", code)
	}
	kept(home, "docker ps --quiet --filter label=orch.cluster", 0)
	vps1.eventually(ctx, "orch nodes", func(s said) error { return lines(s.stdout, 2, " ready ") })
	tr.golden(t, "firsthour-docker")
}

// lines wants so many lines with the text in them.
func lines(out string, want int, text string) error {
	got := 0
	for l := range strings.Lines(out) {
		if strings.Contains(l, text) {
			got++
		}
	}
	if got != want {
		return fmt.Errorf("%d lines with %q, want %d:\n%s", got, text, want, out)
	}
	return nil
}
