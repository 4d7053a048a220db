package soak

import (
	"strings"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// The variables by which a task's process says what was reserved for it.
const (
	cpusVar   = "LAB_CPUS"
	memoryVar = "LAB_MEMORY"
)

// copiesIn is what the process table has of a lab.
func copiesIn(lab *scenarios.Lab) ([]Copy, error) {
	procs, err := lab.Procs()
	if err != nil {
		return nil, err
	}
	var all []Copy
	seen := map[string]bool{}
	for _, p := range procs {
		if !seen[p.Dir] {
			seen[p.Dir] = true
			all = append(all, copyOf(p))
		}
	}
	return all, nil
}

func copyOf(p scenarios.Proc) Copy {
	c := Copy{Dir: p.Dir, Task: p.Task, Epoch: p.Epoch, Node: p.Node}
	for _, v := range p.Env {
		name, value, _ := strings.Cut(v, "=")
		switch name {
		case "ORCH_LIFE":
			c.Life = value
		case specVar:
			c.Spec = value
		case cpusVar:
			c.Takes.CPUs, _ = api.ParseCPUs(value) // we wrote it
		case memoryVar:
			c.Takes.Memory, _ = api.ParseBytes(value)
		}
	}
	return c
}
