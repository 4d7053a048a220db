package scenarios_test

import (
	"context"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// TestThirtyNodes forms a cluster of thirty and has it run three hundred tasks. The
// time it is given is for a machine that does something else, too; the benchmark
// has the figure.
func TestThirtyNodes(t *testing.T) {
	ctx, lab := newLab(t, scenarios.LabConfig{Profile: "lan"})
	took := form(ctx, t, lab, 30)
	t.Logf("formed within %s", took)
	if took > 45*time.Second {
		t.Errorf("thirty nodes took %s to form a cluster, want 45s even on a busy machine", took)
	}
	began := time.Now()
	submit(ctx, t, lab.Nodes()[17], sleeper("many", 300))
	settle(ctx, t, lab, "many", 300, 60*time.Second)
	t.Logf("300 tasks run after %s", time.Since(began))
}

// form starts so many nodes at once, and returns how long it took until each saw
// and was connected to every other one.
func form(ctx context.Context, t testing.TB, lab *scenarios.Lab, nodes int) time.Duration {
	t.Helper()
	began := time.Now()
	must(t, lab.Start(ctx, nodes))
	return time.Since(began)
}
