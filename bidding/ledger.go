package bidding

import (
	"fmt"
	"strings"

	iradix "github.com/hashicorp/go-immutable-radix"

	"github.com/exitae337/orchestergo/api"
)

// Claim is what one attempt of a task takes of a node: an accepted record, an
// existing container, or both.
type Claim struct {
	Job       string
	Life      int64
	Slot      int
	Epoch     uint64
	Resources api.Resources
	Ports     []api.Port
}

// String is the attempt's name: "web.3@2".
func (c Claim) String() string {
	return api.TaskID{Job: c.Job, Index: c.Slot, Epoch: c.Epoch}.String()
}

func (c Claim) key() []byte {
	return fmt.Appendf(slotKey(c.Job, c.Life, c.Slot), "%d", c.Epoch)
}

// slotKey is the prefix of the keys of all claims of a slot. Job names have no
// slash.
func slotKey(job string, life int64, slot int) []byte {
	return fmt.Appendf(nil, "%s/%d/%d/", job, life, slot)
}

// portKey is the prefix of the entries of all claims on a port.
func portKey(p api.Port) []byte { return fmt.Appendf(nil, "%d/%s/", p.Published, transport(p)) }

// transport is the protocol of p; records may leave out the default.
func transport(p api.Port) string {
	if p.Protocol == "" {
		return "tcp"
	}
	return p.Protocol
}

// Ledger is what a node has committed of itself. It is a value: With and Without
// return changed copies that share all else with the original, so that thousands
// of additions can be tried out for a bid.
//
// A copy that is being stopped for its successor counts beside it until the
// engine says that it is gone. So claims can sum up to more than the capacity,
// though what exists never does; Free is then zero and nothing fits.
type Ledger struct {
	capacity api.Resources
	used     api.Resources
	claims   *iradix.Tree // Claim.key -> Claim
	ports    *iradix.Tree // portKey + Claim.key -> Claim
}

// NewLedger is a node of that capacity with those claims. Claims of the same
// attempt count once, as the larger of each resource.
func NewLedger(capacity api.Resources, claims []Claim) Ledger {
	l := Ledger{capacity: capacity, claims: iradix.New(), ports: iradix.New()}
	for _, c := range claims {
		l = l.With(c)
	}
	return l
}

// Capacity is all that the node offers.
func (l Ledger) Capacity() api.Resources { return l.capacity }

// Used is the sum of the claims.
func (l Ledger) Used() api.Resources { return l.used }

// Free is what is left of the capacity, never negative.
func (l Ledger) Free() api.Resources {
	return l.capacity.Sub(l.used).Max(api.Resources{})
}

// With is l with a claim more, whether or not it fits.
func (l Ledger) With(c Claim) Ledger {
	l = l.filled()
	c.Resources = c.Resources.Max(api.Resources{})
	key := c.key()
	if v, ok := l.claims.Get(key); ok {
		old := v.(Claim)
		l.used = l.used.Sub(old.Resources)
		c.Resources = c.Resources.Max(old.Resources)
		c.Ports = append(append([]api.Port{}, old.Ports...), c.Ports...)
	}
	l.used = l.used.Add(c.Resources)
	l.claims, _, _ = l.claims.Insert(key, c)
	for _, p := range c.Ports {
		l.ports, _, _ = l.ports.Insert(append(portKey(p), key...), c)
	}
	return l
}

// Without is l without any claim of a slot, whatever the epoch.
func (l Ledger) Without(job string, life int64, slot int) Ledger {
	l = l.filled()
	prefix := slotKey(job, life, slot)
	l.claims.Root().WalkPrefix(prefix, func(key []byte, v any) bool {
		c := v.(Claim)
		l.used = l.used.Sub(c.Resources)
		for _, p := range c.Ports {
			l.ports, _, _ = l.ports.Delete(append(portKey(p), key...))
		}
		return false
	})
	l.claims, _ = l.claims.DeletePrefix(prefix)
	return l
}

// Fits is nil when c can be added to l, or says why not. Of an attempt that is
// in l already only the growth must fit.
func (l Ledger) Fits(c Claim) *api.Refusal {
	l = l.filled()
	key := c.key()
	need := c.Resources
	if v, ok := l.claims.Get(key); ok {
		need = need.Sub(v.(Claim).Resources).Max(api.Resources{})
	}
	if refusal := l.room(need); refusal != nil {
		return refusal
	}
	for _, p := range c.Ports {
		if holder, taken := l.holder(p, key); taken {
			return refuse(CodePortTaken, RetryCapacity, "port %d/%s is taken by %s", p.Published, transport(p),
				api.TaskID{Job: holder.Job, Index: holder.Slot})
		}
	}
	return nil
}

// room is nil when need is free.
func (l Ledger) room(need api.Resources) *api.Refusal {
	free := l.Free()
	if need.Fits(free) {
		return nil
	}
	var lacks []string
	if need.Memory > free.Memory {
		lacks = append(lacks, fmt.Sprintf("needs %s; %s free of %s", need.Memory, free.Memory, l.capacity.Memory))
	}
	if need.CPUs > free.CPUs {
		lacks = append(lacks, fmt.Sprintf("needs %s cpus; %s free of %s", need.CPUs, free.CPUs, l.capacity.CPUs))
	}
	words := strings.Join(lacks, ", ")
	if !need.Fits(l.capacity) {
		return refuse(CodeNoRoom, RetryNever, "%s (never fits here)", words)
	}
	return refuse(CodeNoRoom, RetryCapacity, "%s", words)
}

// holder is a claim on p of another attempt than the one of key.
func (l Ledger) holder(p api.Port, key []byte) (found Claim, taken bool) {
	prefix := portKey(p)
	l.ports.Root().WalkPrefix(prefix, func(k []byte, v any) bool {
		if string(k[len(prefix):]) == string(key) {
			return false
		}
		found, taken = v.(Claim), true
		return true
	})
	return found, taken
}

// filled makes the zero Ledger usable: a node without any capacity.
func (l Ledger) filled() Ledger {
	if l.claims == nil {
		l.claims, l.ports = iradix.New(), iradix.New()
	}
	return l
}
