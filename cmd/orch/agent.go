package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	driver "github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker"
	"github.com/exitae337/orchestergo/runtime/process"
)

// driverWait is how long a driver may take to say that it works, at the start.
const driverWait = 5 * time.Second

// agent is what a command line makes of this machine's node.
type agent struct {
	env    *Env
	cmd    *cobra.Command
	flags  *agentFlags
	seeds  []string      // gossip addresses of members to join through
	within time.Duration // joining must succeed in that time; 0 tries for ever
	log    *logrus.Logger
	dir    *peer.Dir
	note   string                   // why the address for the others was chosen
	others []string                 // addresses that were not
	offers api.Resources            // of this machine
	opened map[string]driver.Driver // by name
	front  *rest.Front
	in     *inside     // the node of the moment
	moves  chan moving // requests to change the cluster
}

// membership is which cluster a node is to be in, and how it gets there.
type membership struct {
	secret peer.Secret
	fresh  bool          // a new cluster
	seeds  []string      // gossip addresses of members to join through
	within time.Duration // joining must succeed in that time; 0 tries for ever
}

// run reads the flags, makes the agent and lives until ctx ends.
func (a *agent) run(ctx context.Context) error {
	if err := a.prepare(); err != nil {
		return err
	}
	return a.live(ctx)
}

// live makes the agent and lives until ctx ends.
func (a *agent) live(ctx context.Context) error {
	var err error
	if a.dir, err = peer.OpenDir(a.flags.dataDir); err != nil {
		return err
	}
	defer func() { _ = a.dir.Close() }() // the process ends with it
	to, err := a.findCluster()
	if err != nil {
		return err
	}
	listener, err := a.listen()
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // by then the server has
	return a.serve(ctx, to, listener)
}

// prepare works out the flags and makes the log.
func (a *agent) prepare() error {
	if err := fromEnvironment(a.cmd, a.env); err != nil {
		return err
	}
	if err := a.flags.place(a.cmd, a.env); err != nil {
		return err
	}
	var err error
	if a.log, err = a.flags.logger(a.cmd, a.env.Stderr); err != nil {
		return err
	}
	gologshim.SetDefaultHandler(gossip.SlogHandler(a.log))
	return nil
}

// findCluster decides which cluster this is. A used data directory always resumes
// its own; a blank one joins if it is told whom, and never makes a cluster then.
func (a *agent) findCluster() (membership, error) {
	to := membership{seeds: a.seeds, within: a.within}
	own, used, err := a.dir.Secret()
	if err != nil {
		return to, err
	}
	given := a.flags.tokenFile != "" || a.flags.token != ""
	if len(a.seeds) > 0 && (given || a.within > 0) && a.dir.Blank() {
		used = false // a start that came to nothing made a cluster in which there never was a node
	}
	if !used { // what a join left that came to nothing is another cluster's
		if err := a.dir.Forget(); err != nil {
			return to, err
		}
	}
	if used && (len(a.seeds) == 0 || !given) {
		to.secret = own
		to.fresh = len(a.seeds) == 0 && a.dir.Blank() // it ended before there was anything
		return to, nil
	}
	if len(a.seeds) == 0 {
		if given {
			return to, usageError(a.cmd, "a token was given, but nobody to join: add --join HOST, or leave the token out to start a new cluster")
		}
		to.secret, to.fresh = peer.NewSecret(), true
		return to, a.dir.SetSecret(to.secret)
	}
	token, err := a.flags.needToken(a.cmd, a.env)
	if err != nil {
		return to, err
	}
	if to.secret, err = peer.ParseToken(token); err != nil {
		return to, err
	}
	if used && own != to.secret {
		return to, api.Errorf(api.Stale, "the data directory %s belongs to cluster %s, the token to cluster %s", a.dir.Path, own.ClusterID(), to.secret.ClusterID()).
			WithHint("choose another --data-dir, or move that one away to let this machine join anew")
	}
	return to, nil
}

// node makes the node of the flags.
func (a *agent) node(ctx context.Context, to membership) (*peer.Peer, error) {
	f := a.flags
	capacity, err := f.resources(a.cmd)
	if err != nil {
		return nil, err
	}
	labels, err := f.nodeLabels(a.cmd)
	if err != nil {
		return nil, err
	}
	toward := ""
	if len(to.seeds) > 0 {
		toward = to.seeds[0]
	}
	host, advertisePort, err := gossip.SplitAdvertise(f.advertise)
	if err != nil {
		return nil, usageError(a.cmd, "%v", err)
	}
	addr, note, others, err := gossip.ChooseAdvertise(host, toward)
	if err != nil {
		return nil, err
	}
	a.note, a.others, a.offers = note, others, capacity
	allow, err := f.allowed(a.cmd)
	if err != nil {
		return nil, err
	}
	drivers, err := a.drivers(ctx, to.secret.ClusterID(), allow)
	if err != nil {
		return nil, err
	}
	move := func(asked context.Context, secret peer.Secret, j api.Joining) (api.Joined, error) {
		return a.moveTo(ctx, asked, membership{secret: secret, seeds: j.Peers, within: j.Within()})
	}
	return peer.New(peer.Config{
		Dir: a.dir, Secret: to.secret, Name: f.name, Bind: f.bind, Advertise: addr, AdvertisePort: advertisePort,
		GossipPort: f.gossipPort, PeerPort: f.peerPort, Profile: gossip.Profile(f.profile), Drivers: drivers, Allow: allow,
		Capacity: capacity, Labels: labels, OS: runtime.GOOS, Arch: runtime.GOARCH, Version: buildVersion(),
		Seeds: to.seeds, Fresh: to.fresh, Probation: to.within > 0, Stuck: a.stuck, Move: move, Log: a.log,
	})
}

// drivers opens what --drivers names. A driver that is named must be had.
func (a *agent) drivers(ctx context.Context, cluster string, allow []string) ([]driver.Driver, error) {
	var out []driver.Driver
	a.opened = map[string]driver.Driver{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(a.flags.drivers))) {
		d, err := a.driver(name, cluster, allow)
		if err != nil {
			return nil, err
		}
		cctx, cancel := context.WithTimeout(ctx, driverWait)
		err = d.Check(cctx)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("driver %s: %w (or choose another with --drivers: docker, process)", name, err)
		}
		out, a.opened[name] = append(out, d), d
	}
	if len(out) == 0 {
		return nil, usageError(a.cmd, "--drivers: a node needs one (docker, process)")
	}
	return out, nil
}

// driver makes one driver.
func (a *agent) driver(name, cluster string, allow []string) (driver.Driver, error) {
	id := a.dir.ID
	switch name {
	case "docker":
		return docker.New(docker.Config{Cluster: cluster, Node: id, Allow: allow, Log: a.log})
	case "process":
		return process.New(process.Config{Dir: filepath.Join(a.dir.Path, "tasks"), Cluster: cluster, Node: id, Log: a.log})
	}
	return nil, usageError(a.cmd, "--drivers %s: there are docker and process", name)
}

// stuck ends a process that looks alive to the others and does nothing, with what
// every goroutine waits for in the log.
func (a *agent) stuck() {
	all := make([]byte, 1<<20)
	a.log.WithField("goroutines", string(all[:runtime.Stack(all, true)])).Error("this node has not looked at its tasks for 10s: ending, so that the others take over")
	os.Exit(exitError)
}
