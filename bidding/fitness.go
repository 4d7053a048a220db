package bidding

import (
	"fmt"
	"math"

	"github.com/exitae337/orchestergo/api"
)

// situation is what one more copy of a task would meet on a node.
type situation struct {
	job       api.Job
	capacity  api.Resources
	used      api.Resources // with the copy in place
	siblings  int           // other copies of the job on the node
	zone      string
	zones     map[string]int // other copies of the job by zone, as the call has it
	inZone    int            // further copies in this zone: those before it in the curve
	hasImage  bool
	starting  int
	maxStarts int
	failures  int // recent ones of this template on the node
}

// terms is the fitness of a situation, part by part. Each part is in [0,1] and
// greater is better; what cannot run at all is refused before, never scored. With
// c and m the shares of the node's cpus and memory that are used once the copy is
// in place:
//
//	fit       ×2  1 - max(c, m): what is free of the scarcer one, to spread.
//	              max(c, m) for a job that packs.
//	balance   ×1  1 - |c - m|: a node full in one and empty in the other is waste.
//	siblings  ×2  1 / (1 + copies of the job here). Not counted when packing.
//	zone      ×1  (1 + copies in the zone that has fewest) / (1 + copies in this zone);
//	              1 while no zones are known. Not counted when packing.
//	image     ×1  1 when there is nothing to pull, else 0.
//	start     ×1  1 - starts under way / starts at once: a node that is busy
//	              starting others starts this one later.
//	failures  ×1  1 / (1 + recent failures of the task's template here).
//
// A packing job wants few nodes; spreading terms would pull the other way, so
// they are shown and weigh nothing. Values are rounded to four decimals, which
// keeps thousands of them within one message; the order of near equals is left to
// the tie-break.
func (s situation) terms() []api.Term {
	cpu := share(float64(s.used.CPUs), float64(s.capacity.CPUs))
	memory := share(float64(s.used.Memory), float64(s.capacity.Memory))
	fit, spread := 1-max(cpu, memory), 1.0
	if s.job.Pack {
		fit, spread = 1-fit, 0
	}
	image := 0.0
	if s.hasImage || s.job.Image == "" {
		image = 1
	}
	start := 1.0
	if s.starting > 0 {
		start -= share(float64(s.starting), float64(s.maxStarts))
	}
	terms := []api.Term{
		{Name: "fit", Value: fit, Weight: 2},
		{Name: "balance", Value: 1 - math.Abs(cpu-memory), Weight: 1},
		{Name: "siblings", Value: 1 / (1 + float64(max(0, s.siblings))), Weight: 2 * spread},
		{Name: "zone", Value: s.zoneShare(), Weight: spread},
		{Name: "image", Value: image, Weight: 1},
		{Name: "start", Value: start, Weight: 1},
		{Name: "failures", Value: 1 / (1 + float64(max(0, s.failures))), Weight: 1},
	}
	s.annotate(terms)
	for i := range terms {
		terms[i].Value = round4(terms[i].Value)
	}
	return terms
}

// annotate adds the words that explain a term where its value alone does not.
func (s situation) annotate(terms []api.Term) {
	if s.siblings > 0 {
		terms[2].Note = fmt.Sprintf("runs %d of %s", s.siblings, s.job.Name)
	}
	if terms[4].Value == 0 {
		terms[4].Note = "pulls " + s.job.Image
	}
	if s.starting > 0 {
		terms[5].Note = fmt.Sprintf("%d starting, %d at once", s.starting, s.maxStarts)
	}
	if s.failures > 0 {
		terms[6].Note = fmt.Sprintf("failed here %d times lately", s.failures)
	}
}

// zoneShare is the term "zone". Nodes without the label form a zone of their own
// once others have one.
func (s situation) zoneShare() float64 {
	known := s.zone != ""
	mine := max(0, s.zones[s.zone]) + s.inZone
	fewest := mine
	for zone, n := range s.zones {
		known = known || zone != ""
		if zone != s.zone {
			fewest = min(fewest, max(0, n))
		}
	}
	if !known {
		return 1
	}
	return float64(1+fewest) / float64(1+mine)
}

// score is the weighted mean of terms, rounded to four decimals.
func score(terms []api.Term) float64 {
	var sum, weight float64
	for _, t := range terms {
		sum += t.Value * t.Weight
		weight += t.Weight
	}
	if weight == 0 {
		return 0
	}
	return round4(sum / weight)
}

// share is part/whole within [0,1]; of nothing, everything is used.
func share(part, whole float64) float64 {
	switch {
	case part <= 0 && whole > 0:
		return 0
	case whole <= 0:
		return 1
	}
	return min(1, part/whole)
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }
