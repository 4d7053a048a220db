package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/term"

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
	secret peer.Secret
	fresh  bool // a new cluster
	stored bool // the secret is in the data directory
	note   string
	others []string
}

// run makes the agent and lives until ctx ends.
func (a *agent) run(ctx context.Context) error {
	if err := fromEnvironment(a.cmd, a.env); err != nil {
		return err
	}
	if err := a.flags.place(a.cmd); err != nil {
		return err
	}
	var err error
	if a.log, err = a.flags.logger(a.cmd, a.env.Stderr); err != nil {
		return err
	}
	gologshim.SetDefaultHandler(gossip.SlogHandler(a.log))
	if a.dir, err = peer.OpenDir(a.flags.dataDir); err != nil {
		return err
	}
	defer func() { _ = a.dir.Close() }() // the process ends with it
	if err := a.findSecret(); err != nil {
		return err
	}
	listener, err := a.listen()
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // by then the server has
	p, err := a.node(ctx)
	if err != nil {
		return err
	}
	if err := p.Open(ctx); err != nil {
		return err
	}
	return a.serve(ctx, p, listener)
}

// findSecret decides which cluster this is. A used data directory always resumes
// its own; a blank one joins if it is told whom, and never makes a cluster then.
func (a *agent) findSecret() error {
	own, used, err := a.dir.Secret()
	if err != nil {
		return err
	}
	if used && (len(a.seeds) == 0 || a.flags.tokenFile == "" && a.flags.token == "") {
		a.secret, a.stored = own, true
		return nil
	}
	if len(a.seeds) == 0 {
		if a.flags.tokenFile != "" || a.flags.token != "" {
			return usageError(a.cmd, "a token was given, but nobody to join: add --join HOST, or leave the token out to start a new cluster")
		}
		a.secret, a.fresh, a.stored = peer.NewSecret(), true, true
		return a.dir.SetSecret(a.secret)
	}
	token, err := a.flags.readToken(a.env)
	if err != nil {
		return err
	}
	if token == "" {
		return usageError(a.cmd, "joining needs the cluster's token: run orch token on a member, and give it with --token-file, ORCH_TOKEN_FILE or ORCH_TOKEN")
	}
	if a.secret, err = peer.ParseToken(token); err != nil {
		return err
	}
	if used && own != a.secret {
		return api.Errorf(api.Stale, "the data directory %s belongs to cluster %s, the token to cluster %s", a.dir.Path, own.ClusterID(), a.secret.ClusterID()).
			WithHint("choose another --data-dir, or move that one away to let this machine join anew")
	}
	a.stored = used
	return nil
}

// listen binds the API.
func (a *agent) listen() (net.Listener, error) {
	host, port, err := net.SplitHostPort(a.flags.api)
	if err != nil {
		return nil, usageError(a.cmd, "--api %s: want HOST:PORT", a.flags.api)
	}
	l, err := net.Listen("tcp", a.flags.api)
	switch {
	case err != nil && strings.Contains(err.Error(), "address already in use"):
		return nil, fmt.Errorf("port %s/tcp on %s is in use by another program (maybe an orch agent): choose --api or --ports", port, host)
	case err != nil:
		return nil, fmt.Errorf("listen for the API on %s: %w (an agent listens on an address of its own machine; is ORCH_API set?)", a.flags.api, err)
	}
	return l, nil
}

// node makes the node of the flags.
func (a *agent) node(ctx context.Context) (*peer.Peer, error) {
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
	if len(a.seeds) > 0 {
		toward = a.seeds[0]
	}
	host, advertisePort, err := gossip.SplitAdvertise(f.advertise)
	if err != nil {
		return nil, usageError(a.cmd, "%v", err)
	}
	addr, note, others, err := gossip.ChooseAdvertise(host, toward)
	if err != nil {
		return nil, err
	}
	a.note, a.others = note, others
	drivers, err := a.drivers(ctx)
	if err != nil {
		return nil, err
	}
	return peer.New(peer.Config{
		Dir: a.dir, Secret: a.secret, Name: f.name, Bind: f.bind, Advertise: addr, AdvertisePort: advertisePort,
		GossipPort: f.gossipPort, PeerPort: f.peerPort, Profile: gossip.Profile(f.profile), Drivers: drivers,
		Capacity: capacity, Labels: labels, OS: runtime.GOOS, Arch: runtime.GOARCH, Version: buildVersion(),
		Seeds: a.seeds, Fresh: a.fresh, Probation: a.within > 0, Stuck: a.stuck, Log: a.log,
	})
}

// drivers opens what --drivers names. A driver that is named must be had.
func (a *agent) drivers(ctx context.Context) ([]driver.Driver, error) {
	var out []driver.Driver
	for _, name := range slices.Compact(slices.Sorted(slices.Values(a.flags.drivers))) {
		d, err := a.driver(name)
		if err != nil {
			return nil, err
		}
		cctx, cancel := context.WithTimeout(ctx, driverWait)
		err = d.Check(cctx)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("driver %s: %w (or choose another with --drivers: docker, process)", name, err)
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, usageError(a.cmd, "--drivers: a node needs one (docker, process)")
	}
	return out, nil
}

// driver makes one driver.
func (a *agent) driver(name string) (driver.Driver, error) {
	cluster, id := a.secret.ClusterID(), a.dir.ID
	switch name {
	case "docker":
		return docker.New(docker.Config{Cluster: cluster, Node: id, Log: a.log})
	case "process":
		return process.New(process.Config{Dir: filepath.Join(a.dir.Path, "tasks"), Cluster: cluster, Node: id, Log: a.log})
	}
	return nil, usageError(a.cmd, "--drivers %s: there are docker and process", name)
}

// serve runs the node and its API until ctx ends or one of them fails.
func (a *agent) serve(ctx context.Context, p *peer.Peer, l net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	server := a.server(p, l)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	err := a.join(ctx, p)
	if err == nil {
		a.printBanner(p, l)
		err = a.wait(ctx, p, ran, served)
	}
	stop(nil)
	shut, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = server.Shutdown(shut) // what is still being answered then is cut
	if runErr := <-ran; err == nil {
		err = runErr
	}
	if errors.Is(err, peer.ErrLeft) {
		a.log.Info("left the cluster; this machine's key is kept")
		return a.dir.Forget()
	}
	if err == nil {
		a.log.Info("stopped; tasks go on running, and are adopted by the next agent or replaced by the other nodes in 60s")
	}
	return err
}

// wait blocks until the agent should end, and stores the secret once the cluster
// was reached.
func (a *agent) wait(ctx context.Context, p *peer.Peer, ran, served chan error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ran:
			ran <- nil
			return err
		case err := <-served:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serve the API: %w", err)
		case <-tick.C:
			if p.Ready(ctx) != nil {
				continue
			}
			tick.Stop()
			if a.stored {
				continue
			}
			if err := a.dir.SetSecret(a.secret); err != nil {
				return err
			}
			a.stored = true
		}
	}
}

// server is the API. Beyond loopback it demands the token.
func (a *agent) server(p *peer.Peer, l net.Listener) *http.Server {
	cfg := rest.Config{Service: p, View: p.View, Log: a.log}
	host, _, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		cfg.Token = a.secret.APIToken()
		name, _ := os.Hostname() // one more name it is reached by, if there is one
		flagHost, _, _ := net.SplitHostPort(a.flags.api)
		gossipAddr, _ := p.Addresses()
		advertised, _, _ := net.SplitHostPort(gossipAddr)
		cfg.Hosts = []string{host, flagHost, advertised, name}
	}
	return rest.NewServer(cfg).HTTP()
}

// join makes this node a member within the time given. If it comes to nothing the
// others are told so, and nothing is kept.
func (a *agent) join(ctx context.Context, p *peer.Peer) error {
	if a.within == 0 {
		return nil
	}
	jctx, cancel := context.WithTimeout(ctx, a.within)
	defer cancel()
	err := p.Join(jctx, a.seeds)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	lctx, cancelLeave := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancelLeave()
	if lerr := p.Withdraw(lctx); lerr != nil {
		a.log.WithError(lerr).Debug("leaving after a failed join")
	}
	return err
}

// stuck ends a process that looks alive to the others and does nothing, with what
// every goroutine waits for in the log.
func (a *agent) stuck() {
	all := make([]byte, 1<<20)
	a.log.WithField("goroutines", string(all[:runtime.Stack(all, true)])).Error("this node has not looked at its tasks for 10s: ending, so that the others take over")
	os.Exit(exitError)
}

// printBanner tells how the node is reached and what to do next.
func (a *agent) printBanner(p *peer.Peer, l net.Listener) {
	gossipAddr, peerAddr := p.Addresses()
	advertised, _, _ := net.SplitHostPort(gossipAddr)
	_, gossipPort, _ := net.SplitHostPort(gossipAddr)
	_, peerPort, _ := net.SplitHostPort(peerAddr)
	what := "cluster " + a.secret.ClusterID()
	switch {
	case a.fresh:
		what = "new " + what
	case len(a.seeds) > 0 && a.within > 0:
		what = "joined " + what
	}
	w := a.env.Stdout
	fmt.Fprintf(w, "orch %s  node %s (%s)  %s\n", version, a.flags.name, p.ID().Short(), what)
	fmt.Fprintf(w, "listening  gossip %s tcp+udp   peers :%s tcp   api http://%s\n", gossipAddr, peerPort, l.Addr())
	fmt.Fprintf(w, "advertise  %s (%s)", advertised, a.note)
	if len(a.others) > 0 {
		fmt.Fprintf(w, "  not: %s", strings.Join(a.others, ", "))
	}
	fmt.Fprintln(w)
	if a.fresh {
		fmt.Fprintf(w, "Add a machine (it must reach %s tcp+udp and %s tcp here, and be reached there):\n", gossipPort, peerPort)
		fmt.Fprintf(w, "  orch token | ssh root@NEW orch join %s --token-file -\n", gossipAddr)
		fmt.Fprintf(w, "  or on it, and paste the token when asked:   orch join %s\n", gossipAddr)
	}
}

// promptToken asks a person for the token, without showing it.
func promptToken(env *Env) (string, error) {
	f, ok := env.Stdin.(*os.File)
	if !ok || !env.IsTerminal(env.Stdin) {
		return "", nil
	}
	fmt.Fprint(env.Stderr, "join token: ")
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(env.Stderr)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
