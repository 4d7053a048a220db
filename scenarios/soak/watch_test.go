package soak

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

func TestWatch(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tick := 0
	w := newWatch()
	w.offers["a"] = api.Resources{CPUs: 200, Memory: 1 << 20}
	look := func(copies ...Copy) {
		w.take(sample{
			at: begin.Add(time.Duration(tick) * time.Second), copies: copies,
			always: map[string]bool{"web.0": true},
			single: func(task string) bool { return task == "cold.0" },
			ails:   func(id api.NodeID) Kind { return map[api.NodeID]Kind{"a": KillHost}[id] },
		})
		tick++
	}
	task := func(name string, node api.NodeID, epoch uint64, cpus api.CPUs) Copy {
		return Copy{Dir: name + string(node), Task: name, Epoch: epoch, Node: node, Takes: api.Resources{CPUs: cpus}}
	}
	look()                                                      // it was never there: it is being placed
	look(task("web.0", "a", 1, 150), task("cold.0", "a", 1, 0)) // there
	look(task("cold.0", "a", 1, 0))                             // gone
	look()
	look(task("web.0", "b", 2, 0), task("cold.0", "a", 1, 0)) // back
	if want := []Gap{{"web.0", "a", begin.Add(2 * time.Second), 2 * time.Second, KillHost}}; !reflect.DeepEqual(w.gaps, want) {
		t.Errorf("gaps %v, want %v", w.gaps, want)
	}
	look() // gone from a node that nothing ails
	if got := w.missing(); !reflect.DeepEqual(got, []string{"web.0"}) {
		t.Errorf("missing %v, want web.0", got)
	}
	look(task("web.0", "b", 2, 0))
	if last := w.gaps[len(w.gaps)-1]; last.Cause != "" || last.For != time.Second {
		t.Errorf("a gap that nothing explains: %v", last)
	}
	if len(w.faults) > 0 {
		t.Errorf("faults where there are none: %v", w.faults)
	}
	look(task("web.0", "b", 2, 0), task("cold.0", "a", 1, 0), Copy{Dir: "x", Task: "cold.0", Life: "2000"}) // of another job of that name
	if len(w.faults) > 0 {
		t.Errorf("faults where there are none: %v", w.faults)
	}
	for range 3 { // a fault that lasts is one fault
		look(task("web.0", "a", 1, 150), task("web.1", "a", 1, 60), task("cold.0", "a", 1, 0), task("cold.0", "b", 2, 0))
	}
	all := strings.Join(w.faults, "\n")
	if len(w.faults) != 2 || !strings.Contains(all, "offers") || !strings.Contains(all, "must not run twice") {
		t.Errorf("faults:\n%s\nwant one of capacity and one of what must not run twice", all)
	}
}
