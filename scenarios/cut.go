package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Loss is what becomes of a packet that a cut keeps from its receiver.
type Loss string

// The losses.
const (
	Silence Loss = "silence" // nobody hears of it, as of a pulled cable
	Refusal Loss = "refusal" // its sender is told, as by a firewall: connections end at once
)

// A Cut keeps packets of some nodes from reaching others.
type Cut struct {
	From, To []*Node
	BothWays bool
	Loss     Loss
}

func (c *Cut) String() string {
	arrow := " ↛ "
	if c.BothWays {
		arrow = " | "
	}
	return names(c.From) + arrow + names(c.To) + " (" + string(c.Loss) + ")"
}

func names(nodes []*Node) string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.Name
	}
	return strings.Join(all, ",")
}

// Cut cuts nodes off from each other, besides those that are already. The lab needs a
// network ([LabConfig]).
func (l *Lab) Cut(ctx context.Context, c *Cut) error {
	l.logf("cut %s", c)
	return l.rewire(ctx, func(cuts []*Cut) []*Cut { return append(cuts, c) })
}

// Mend undoes cuts, or all for none.
func (l *Lab) Mend(ctx context.Context, cuts ...*Cut) error {
	if len(cuts) == 0 {
		l.logf("mend all links")
		return l.rewire(ctx, func([]*Cut) []*Cut { return nil })
	}
	for _, c := range cuts {
		l.logf("mend %s", c)
	}
	return l.rewire(ctx, func(old []*Cut) []*Cut {
		return slices.DeleteFunc(old, func(c *Cut) bool { return slices.Contains(cuts, c) })
	})
}

// rewire changes the cuts and has every node's firewall agree.
func (l *Lab) rewire(ctx context.Context, change func([]*Cut) []*Cut) error {
	if l.network == nil {
		return errors.New("cut: the lab has no network of its own")
	}
	l.wiring.Lock()
	defer l.wiring.Unlock()
	l.cuts = change(l.cuts)
	for _, n := range l.Nodes() {
		rules := firewall(n, l.cuts)
		if rules == n.rules {
			continue
		}
		if err := n.ns.run(ctx, rules, "iptables-restore", "--wait"); err != nil {
			return fmt.Errorf("the firewall of %s: %w", n.Name, err)
		}
		n.rules = rules
	}
	return nil
}

// firewall is what a node must not receive, as iptables-restore reads it.
func firewall(n *Node, cuts []*Cut) string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for _, c := range cuts {
		var from []*Node
		if slices.Contains(c.To, n) {
			from = c.From
		}
		if c.BothWays && slices.Contains(c.From, n) {
			from = append(slices.Clone(from), c.To...)
		}
		for _, f := range from {
			if c.Loss == Refusal {
				fmt.Fprintf(&b, "-A INPUT -s %s -p tcp -j REJECT --reject-with tcp-reset\n-A INPUT -s %s -j REJECT\n", f.host, f.host)
			} else {
				fmt.Fprintf(&b, "-A INPUT -s %s -j DROP\n", f.host)
			}
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
