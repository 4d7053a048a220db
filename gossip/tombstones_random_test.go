package gossip_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/gossip"
)

// tblWorld is a random history of three nodes, with what the test knows beyond
// any node.
type tblWorld struct {
	now     time.Time
	nodes   []*tblSide
	down    []bool
	cut     [3][3]bool
	life    uint64
	removed map[string]bool    // "name life": an acknowledged removal
	created map[string]int     // "name life": the writer
	dropped [3]map[string]bool // keys with lives of tombstones that a node has dropped
}

func tblLife(r gossip.Record) string { return fmt.Sprint(r.Key, " ", r.Stamp.Major) }

func newTblWorld() *tblWorld {
	w := &tblWorld{now: tblStart, nodes: tblCluster(3), down: make([]bool, 3), life: 10,
		removed: make(map[string]bool), created: make(map[string]int)}
	for i := range w.dropped {
		w.dropped[i] = make(map[string]bool)
	}
	return w
}

func (w *tblWorld) actions() map[string]func(*rapid.T) {
	node := rapid.IntRange(0, 2)
	name := rapid.SampledFrom([]string{"x", "y"})
	return map[string]func(*rapid.T){
		"create": func(t *rapid.T) { w.create(node.Draw(t, "node"), name.Draw(t, "name")) },
		"remove": func(t *rapid.T) { w.remove(node.Draw(t, "node"), name.Draw(t, "name")) },
		"sync":   func(t *rapid.T) { w.sync(t, node.Draw(t, "a"), node.Draw(t, "b")) },
		"sync2":  func(t *rapid.T) { w.sync(t, node.Draw(t, "a"), node.Draw(t, "b")) },
		"wait": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
		},
		"expire": func(t *rapid.T) { w.expire(t, node.Draw(t, "node")) },
		"down":   func(t *rapid.T) { w.down[node.Draw(t, "node")] = true },
		"up":     func(t *rapid.T) { w.up(node.Draw(t, "node")) },
		"cut": func(t *rapid.T) {
			a, b, cut := node.Draw(t, "a"), node.Draw(t, "b"), rapid.Bool().Draw(t, "cut")
			w.cut[a][b], w.cut[b][a] = cut, cut
		},
	}
}

func (w *tblWorld) create(i int, name string) {
	if w.down[i] || tblHas(w.nodes[i], "j/"+name) == "it" {
		return
	}
	w.life = max(w.life+1, uint64(w.now.UnixMilli()))
	job := tblJob(name, w.life, 1, fmt.Sprint(i))
	w.nodes[i].table.Merge(w.now, job, tblSlot(name, w.life, 0, 1, fmt.Sprint(i)))
	w.created[tblLife(job)] = i
}

func (w *tblWorld) remove(i int, name string) {
	job, ok := w.nodes[i].table.Get("j/" + name)
	if w.down[i] || !ok || job.Removed {
		return
	}
	w.nodes[i].table.Merge(w.now, tblRemoved(job, w.now, fmt.Sprint(i)))
	w.removed[tblLife(job)] = true
}

func (w *tblWorld) sync(t tblFatal, a, b int) {
	if a != b && !w.down[a] && !w.down[b] && !w.cut[a][b] {
		tblMustSync(t, w.now, w.nodes[a], w.nodes[b])
		w.now = w.now.Add(time.Second)
	}
}

// age lets a node drop what is due, and returns the tombstones.
func (w *tblWorld) age(i int) (dead []gossip.Record) {
	if w.down[i] {
		return nil
	}
	before := make(map[string]gossip.Record)
	for _, r := range tblAll(w.nodes[i].table) {
		before[r.Key] = r
	}
	for _, key := range w.nodes[i].table.Expire(w.now, w.nodes[i].members) {
		if r := before[key]; r.Removed {
			dead = append(dead, r)
			w.dropped[i][tblLife(r)] = true
		}
	}
	return dead
}

// expire is age, and checks from above that what goes is what all others hold or
// held.
func (w *tblWorld) expire(t tblFatal, i int) {
	for _, dead := range w.age(i) {
		if age := w.now.UnixMilli() - dead.Time; age < gossip.DefaultRetention.Milliseconds() {
			t.Fatalf("node %d dropped %s after %d ms", i, dead.Key, age)
		}
		for j, o := range w.nodes {
			r, ok := o.table.Get(dead.Key)
			held := ok && r.Stamp.Compare(dead.Stamp) >= 0
			if j != i && !held && !w.dropped[j][tblLife(dead)] {
				t.Fatalf("node %d dropped %s, which node %d never held", i, tblLife(dead), j)
			}
		}
	}
}

// survives says whether a removal is known to another node than 2.
func (w *tblWorld) survives(life string) bool {
	for i, s := range w.nodes[:2] {
		if w.dropped[i][life] {
			return true
		}
		for _, r := range tblAll(s.table) {
			if r.Removed && tblLife(r) == life {
				return true
			}
		}
	}
	return false
}

func (w *tblWorld) up(i int) {
	if w.down[i] {
		w.down[i] = false
		w.nodes[i].restart(w.now, nil)
	}
}

// settle ends all faults and lets the nodes talk.
func (w *tblWorld) settle(t tblFatal) {
	w.cut = [3][3]bool{}
	for i := range w.nodes {
		w.up(i)
	}
	for range 4 {
		w.now = w.now.Add(10 * time.Hour)
		for a := range w.nodes {
			for b := range w.nodes {
				w.sync(t, a, b)
				w.expire(t, a)
			}
		}
	}
	for _, s := range w.nodes[1:] {
		if s.table.Digest() != w.nodes[0].table.Digest() {
			t.Fatalf("settled, node %s has\n%v\nnode 0 has\n%v", s.id, tblAll(s.table), tblAll(w.nodes[0].table))
		}
	}
	for _, s := range w.nodes {
		for _, r := range tblAll(s.table) {
			if r.Removed {
				t.Fatalf("settled for 40 hours, node %s still has %v", s.id, r)
			}
			if w.removed[tblLife(r)] {
				t.Fatalf("%s is back on node %s", tblLife(r), s.id)
			}
		}
	}
}

// No absence, restart or partition brings back what was removed, or loses what
// was not.
func TestNothingComesBackAndNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTblWorld()
		t.Repeat(w.actions())
		w.settle(t)
		newest := make(map[string]gossip.Record)
		for _, r := range tblAll(w.nodes[0].table) {
			newest[r.Key] = r
		}
		for _, name := range []string{"x", "y"} {
			var life uint64 // the greatest that was made: it wins over the others
			for k := range w.created {
				var l uint64
				if n, _ := fmt.Sscanf(k, "j/"+name+" %d", &l); n == 1 {
					life = max(life, l)
				}
			}
			r, ok := newest["j/"+name]
			if life > 0 && !w.removed[fmt.Sprint("j/", name, " ", life)] && (!ok || r.Stamp.Major != life) {
				t.Fatalf("life %d of %s was never removed and is lost: %v", life, name, newest)
			}
		}
		for _, s := range w.nodes {
			if len(s.aside) > 0 {
				t.Fatalf("node %s set aside %v, though no disk went back in time", s.id, s.aside)
			}
		}
	})
}

// One node that wakes up with an old disk brings nothing back either. What it has
// of its own it may have to set aside; what others have is not lost.
func TestOldDiskBringsNothingBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTblWorld()
		var old *tblDisk
		acts := w.actions()
		acts["save"] = func(*rapid.T) { old = w.nodes[2].disk() }
		acts["restore"] = func(*rapid.T) {
			if old == nil {
				return
			}
			w.down[2] = false
			for life := range w.removed {
				if !w.survives(life) {
					delete(w.removed, life) // it was on one disk only, and that is gone
				}
			}
			w.nodes[2].restart(w.now, old)
		}
		delete(acts, "expire") // its check from above knows no old disks
		acts["age"] = func(t *rapid.T) { w.age(rapid.IntRange(0, 2).Draw(t, "node")) }
		t.Repeat(acts)
		w.cut = [3][3]bool{}
		for i := range w.nodes {
			w.up(i)
		}
		for range 4 {
			w.now = w.now.Add(10 * time.Hour)
			for a := range w.nodes {
				for b := range w.nodes {
					w.sync(t, a, b)
				}
				w.age(a)
			}
		}
		for _, s := range w.nodes {
			for _, r := range tblAll(s.table) {
				if r.Removed {
					t.Fatalf("settled for 40 hours, node %s still has %v", s.id, r)
				}
				if w.removed[tblLife(r)] {
					t.Fatalf("%s is back on node %s", tblLife(r), s.id)
				}
			}
			if !tblSame(tblVisible(s.table, w.now), tblVisible(w.nodes[0].table, w.now)) {
				t.Fatalf("settled, node %s differs from node 0", s.id)
			}
		}
	})
}
