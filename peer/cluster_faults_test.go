package peer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing/synctest"
)

// The network. What is done to it here is known to the checks.

// split cuts all links between groups of nodes; those in none form one more.
func (c *cluster) split(groups ...[]*node) {
	var sides [][]string
	for _, g := range groups {
		sides = append(sides, names(g))
	}
	c.twice = true
	c.net.Partition(sides...)
	c.links()
}

// cut cuts one link, both ways.
func (c *cluster) cut(a, b *node) {
	c.twice = true
	c.net.Cut(a.name, b.name)
	c.links()
}

// cutOneWay loses what one node sends to another.
func (c *cluster) cutOneWay(from, to *node) {
	c.twice = true
	c.net.CutOneWay(from.name, to.name)
	c.links()
}

// mend undoes cut and cutOneWay of one link, and heal all that was done to the
// links.
func (c *cluster) mend(a, b *node) {
	c.net.Mend(a.name, b.name)
	c.links()
}

func (c *cluster) heal() {
	c.net.Heal()
	c.links()
}

// The disks.

// copyDisk is what of the table is on the disk of n.
func (n *node) copyDisk() []byte {
	synctest.Wait() // nobody is writing to it
	return n.snapshot()
}

// startFrom starts an agent on the disk as it was when it was copied, or, from nil,
// on one that has been wiped but for the node's key.
func (n *node) startFrom(disk []byte) {
	n.c.t.Helper()
	if n.old != nil {
		<-n.old
	}
	n.c.twice = true // it may do again what it has forgotten
	n.c.died(n)
	clear(n.c.complete[n])
	if disk != nil {
		n.restore(disk)
		n.start(false)
		return
	}
	for _, name := range []string{"table.db", "peers.json"} {
		if err := os.Remove(filepath.Join(n.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.c.t.Fatal(err)
		}
	}
	n.start(false)
}

// reapEnded notes the agents that have ended since their nodes left.
func (c *cluster) reapEnded() {
	for _, n := range c.nodes {
		if n.agent != nil && n.agent.over() {
			n.agent = nil
			c.links()
		}
	}
}

// restartAll starts what has no agent.
func (c *cluster) restartAll() {
	for _, n := range c.nodes {
		if n.agent == nil {
			n.start(false)
		}
	}
}
