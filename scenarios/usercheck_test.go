package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestUserCheck has orch check look at a lab that is well, at a node with more tasks
// than it has room for, and at one whose agent is dead.
func TestUserCheck(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 3, scenarios.LabConfig{})
	first, small := lab.Nodes()[0], lab.Nodes()[1]
	submit(ctx, t, first, sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	for _, n := range lab.Nodes() {
		out := typist(ctx, t, lab, n)(0, "check")
		says(t, "a check of a lab that is well", out.Stderr, "3 of 3 nodes answered, 1 job, 6 containers: all is as it should be")
		if out.Stdout != "" {
			t.Errorf("it found %s", out.Stdout)
		}
	}

	offered := small.Offers
	restartWith := func(r api.Resources) {
		t.Helper()
		must(t, lab.Terminate(ctx, small))
		small.Offers = r
		must(t, lab.Restart(ctx, small))
		must(t, lab.AwaitReady(ctx))
		settle(ctx, t, lab, "web", 6, 30*time.Second)
	}
	restartWith(api.Resources{CPUs: 100, Memory: offered.Memory})
	out := typist(ctx, t, lab, first)(6, "check", "--wait", "3s", "-o", "json")
	var found []struct{ Kind, Rule, Found, Expected string }
	must(t, json.Unmarshal([]byte(out.Stdout), &found))
	if len(found) != 1 || found[0].Kind != "violation" || found[0].Rule != "capacity" {
		t.Errorf("of a node that runs more than it has room for, it found %+v", found)
	}
	restartWith(offered)
	typist(ctx, t, lab, first)(0, "check")

	must(t, lab.Kill(ctx, small))
	eventually(ctx, t, small.Name+" is seen dead", 30*time.Second, func(ctx context.Context) error {
		n, err := first.Service().Node(ctx, small.Name)
		if err == nil && n.Status != api.NodeFailed {
			err = fmt.Errorf("it is %s", n.Status)
		}
		return err
	})
	out = typist(ctx, t, lab, first)(5, "check")
	says(t, "a check without a node", out.Stdout, "silent", small.Name, "failed")
	says(t, "its last line", out.Stderr, "2 of 3 nodes answered", "no violation, 1 silent")
}
