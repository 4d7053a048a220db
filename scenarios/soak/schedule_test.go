package soak_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/scenarios/soak"
)

func plans(t *rapid.T) soak.Plan {
	return soak.Plan{
		Seed: rapid.Uint64().Draw(t, "seed"), Nodes: rapid.IntRange(3, 9).Draw(t, "nodes"), Faults: rapid.IntRange(1, 120).Draw(t, "faults"),
		Over:  time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second,
		Kinds: soak.Kinds(rapid.Bool().Draw(t, "links"), rapid.Bool().Draw(t, "disks")),
	}
}

func TestScheduleKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plans(t)
		steps := soak.Schedule(p)
		if !reflect.DeepEqual(steps, soak.Schedule(p)) {
			t.Fatal("the same plan gives two schedules")
		}
		if len(steps) != p.Faults {
			t.Fatalf("%d steps, want %d", len(steps), p.Faults)
		}
		for i, s := range steps {
			if i > 0 && s.At < steps[i-1].At {
				t.Fatalf("%s begins before %s", s, steps[i-1])
			}
			if !slices.Contains(p.Kinds, s.Kind) || s.For < 100*time.Millisecond || len(s.Nodes) == 0 {
				t.Fatalf("no step of the plan: %s", s)
			}
			suffering := map[int]bool{}
			for _, o := range steps[:i+1] {
				if o.At+o.For <= s.At {
					continue
				}
				if o.Kind == soak.Link && len(o.Nodes) != 2 {
					t.Fatalf("a link has two ends: %s", o)
				}
				for _, n := range o.Nodes {
					if suffering[n] {
						t.Fatalf("n%d suffers from two things at once: %s", n+1, s)
					}
					suffering[n] = true
				}
			}
			if all := len(s.Nodes) == p.Nodes; 2*len(suffering) >= p.Nodes && !all {
				t.Fatalf("%d of %d nodes suffer at once: %s", len(suffering), p.Nodes, s)
			}
		}
		alone(t, steps)
	})
}

// alone looks at faults that destroy a disk, or everything: nothing else happens.
func alone(t *rapid.T, steps []soak.Step) {
	for i, s := range steps {
		if s.Kind != soak.OldDisk && s.Kind != soak.WipedDisk && s.Kind != soak.PowerCut {
			continue
		}
		for j, o := range steps {
			if i != j && o.At < s.At+s.For && s.At < o.At+o.For {
				t.Fatalf("%s happens during %s", o, s)
			}
		}
	}
}

func TestScheduleHasEverything(t *testing.T) {
	kinds := soak.Kinds(true, true)
	seen := map[soak.Kind]int{}
	steps := soak.Schedule(soak.Plan{Seed: 1, Nodes: 7, Faults: 300, Over: 30 * time.Minute, Kinds: kinds})
	for _, s := range steps {
		seen[s.Kind]++
	}
	for _, k := range kinds {
		if seen[k] == 0 {
			t.Errorf("of 300 faults none is to %s", k)
		}
	}
	last := steps[len(steps)-1]
	if last.At < 25*time.Minute || last.At > 40*time.Minute {
		t.Errorf("300 faults over half an hour: the last is %s", last)
	}
	for _, k := range soak.Kinds(false, false) {
		if k == soak.Silence || k == soak.FullDisk {
			t.Errorf("%s takes what the nodes do not have", k)
		}
	}
}

func TestStepInWords(t *testing.T) {
	s := soak.Step{At: 12300 * time.Millisecond, For: 4 * time.Second, Kind: soak.Silence, Nodes: []int{0, 4}}
	if got, want := s.String(), "at  12.3s for  4.0s: cut off n1,n5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !strings.Contains(soak.Step{Kind: soak.OldDisk, Nodes: []int{2}}.String(), "give an old disk to n3") {
		t.Error("an old disk is not told")
	}
}
