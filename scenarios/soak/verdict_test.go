package soak

import (
	"fmt"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

// settled is a cluster of two nodes as it should be: web-1 runs twice, one is stopped, and
// a batch job is complete.
func settled() (accounts []Account, copies []Copy, names []string) {
	web, still, once := api.NewJob(), api.NewJob(), api.NewJob()
	web.Name, web.Replicas, web.Template, web.ETag = "web-1", 2, "h", "1-a"
	web.Env[specVar] = "s1"
	still.Name, still.Status = "still", &api.Status{State: api.JobStopped}
	once.Name, once.Type = "once", api.BatchJob
	for i, id := range []api.NodeID{"node-a", "node-b"} {
		accounts = append(accounts, Account{Node: fmt.Sprintf("n%d", i+1), ID: id, Jobs: []api.Job{web, still, once}, Tasks: []api.Task{
			{ID: "web-1.0", Attempt: "web-1.0@1", Job: "web-1", State: api.Running, Desired: "running", Node: "node-a", NodeName: "n1", ContainerID: "c0", TemplateHash: "h"},
			{ID: "web-1.1", Attempt: "web-1.1@4", Job: "web-1", State: api.Running, Desired: "running", Node: "node-b", NodeName: "n2", ContainerID: "c1", TemplateHash: "h"},
			{ID: "still.0", Attempt: "still.0@4", Job: "still", State: api.Stopped, Desired: "stopped", Node: "node-b"},
			{ID: "once.0", Attempt: "once.0@1", Job: "once", State: api.Complete, Desired: "complete", Node: "node-b"},
		}})
	}
	copies = []Copy{
		{Dir: "/lab/n1/c0", Task: "web-1.0", Epoch: 1, Node: "node-a", Spec: "s1"},
		{Dir: "/lab/n2/c1", Task: "web-1.1", Epoch: 3, Node: "node-b", Spec: "s1"}, // kept from an earlier epoch
	}
	return accounts, copies, []string{"web-1", "still", "once"}
}

func TestVerdict(t *testing.T) {
	tests := map[string]struct {
		spoil func(accounts []Account, copies *[]Copy, names *[]string)
		want  string
	}{
		"all is well":           {func([]Account, *[]Copy, *[]string) {}, ""},
		"nobody is there":       {nil, "nobody says anything"},
		"a job is lost":         {func(_ []Account, _ *[]Copy, names *[]string) { *names = append(*names, "lost") }, "lost is judged"},
		"nodes disagree on it":  {func(a []Account, _ *[]Copy, _ *[]string) { a[1].Jobs = a[1].Jobs[1:] }, `n1 says of job web-1 "1-a", n2 says ""`},
		"on a task":             {func(a []Account, _ *[]Copy, _ *[]string) { a[1].Tasks[0].State = api.Lost }, "n1 says of task web-1.0"},
		"a task does not run":   {func(a []Account, _ *[]Copy, _ *[]string) { a[0].Tasks[1].State = api.Pending }, "web-1.1@4: it is pending"},
		"a task is missing":     {func(a []Account, _ *[]Copy, _ *[]string) { a[0].Tasks = a[0].Tasks[1:] }, "wants 2 tasks and has 1"},
		"it is of an old spec":  {func(a []Account, _ *[]Copy, _ *[]string) { a[0].Tasks[0].TemplateHash = "g" }, "earlier specification"},
		"a batch task goes on":  {func(a []Account, _ *[]Copy, _ *[]string) { a[0].Tasks[3].State = api.Running }, "once.0@1: it is running"},
		"its owner is dead":     {func(a []Account, _ *[]Copy, _ *[]string) { a[1].ID = "another" }, "n2, which is dead"},
		"nothing is of it":      {func(_ []Account, c *[]Copy, _ *[]string) { *c = (*c)[1:] }, "no process is of it"},
		"it runs twice":         {func(_ []Account, c *[]Copy, _ *[]string) { *c = append(*c, Copy{Dir: "/lab/n2/c9", Task: "web-1.0"}) }, "web-1.0 runs twice"},
		"it is another copy":    {func(_ []Account, c *[]Copy, _ *[]string) { (*c)[0].Dir = "/lab/n1/c9" }, "the process of web-1.0 is of c9"},
		"it is at another node": {func(_ []Account, c *[]Copy, _ *[]string) { (*c)[0].Node = "node-b" }, "the process of web-1.0"},
		"it runs something old": {func(_ []Account, c *[]Copy, _ *[]string) { (*c)[0].Spec = "s0" }, "runs specification s0"},
		"something is left": {func(_ []Account, c *[]Copy, _ *[]string) { *c = append(*c, Copy{Task: "still.0", Epoch: 4}) },
			"a process of still.0@4"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			accounts, copies, names := settled()
			if tt.spoil == nil {
				accounts = nil
			} else {
				tt.spoil(accounts, &copies, &names)
			}
			judge := func(name string, got *api.Job) error {
				if got == nil {
					return fmt.Errorf("%s is judged", name)
				}
				return nil
			}
			got := strings.Join(verdict(accounts, copies, names, judge), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
}
