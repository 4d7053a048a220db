package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
)

// LabConfig says what a lab is made of.
type LabConfig struct {
	Binary    string        // the orch to test
	Dir       string        // for everything; made, and removed by Close. Empty is a new temporary one
	Profile   string        // "fast" (the default) or "lan"
	Driver    string        // of the nodes: "process" (the default) or "docker"
	FirstPort int           // where to look for free ports; 0 is somewhere at random
	Resources api.Resources // that each node offers; zero is 4 cpus and 4 GiB
	Sockets   bool          // the APIs are sockets in the file system instead of ports
	Network   bool          // each node has a network of its own, on one switch ([Lab.Cut]), and a socket; takes Linux and root
	Disk      int64         // bytes of a disk of its own for each node ([Lab.FillDisk]); 0 is none; takes Linux and root
	Log       io.Writer     // is told what is done to nodes; nil is nobody

	// BinaryOf is the orch that a node is started with the next time, of another release.
	// Nil, or "", is Binary.
	BinaryOf func(node string) string
	// Flags are further ones for the agents of a node. Nil is none.
	Flags func(node string) []string
	// Engines are the docker engines of nodes that do not use the machine's own, by
	// the name of the node: the first node is n1.
	Engines map[string]NodeEngine
}

// Lab is a cluster of real nodes on the loopback interface. Its methods are safe
// for concurrent use.
type Lab struct {
	cfg LabConfig
	dir string // without symbolic links, as the nodes name it

	engines []*client.Client // none unless the driver is docker; first the machine's own
	network *Switch          // nil where nodes have no network of their own

	wiring sync.Mutex // guards cuts, and the rules of nodes
	cuts   []*Cut

	mu       sync.Mutex // guards what follows and writes to cfg.Log
	nodes    []*Node
	nextPort int
	token    string // file with the token for joining, once there is one
	fallen   []string
}

// NewLab makes a lab without nodes.
func NewLab(cfg LabConfig) (*Lab, error) {
	binary, err := filepath.Abs(cfg.Binary)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("lab: no orch to start (make build makes bin/orch): %w", err)
	}
	cfg.Binary = binary
	if cfg.Profile == "" {
		cfg.Profile = "fast"
	}
	if cfg.Driver == "" {
		cfg.Driver = "process"
	}
	if cfg.Resources == (api.Resources{}) {
		cfg.Resources = api.Resources{CPUs: 4 * api.Core, Memory: 4 << 30}
	}
	if cfg.FirstPort == 0 {
		cfg.FirstPort = 10000 + blockStep*rand.IntN(2000)
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	l := &Lab{cfg: cfg, nextPort: cfg.FirstPort}
	if cfg.Driver == "docker" {
		if l.engines, err = openEngines(cfg.Engines); err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	if l.dir, err = labDir(cfg.Dir, cfg.Driver); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if cfg.Network {
		if l.network, err = NewSwitch(); err != nil {
			return nil, errors.Join(fmt.Errorf("lab: %w", err), os.RemoveAll(l.dir))
		}
	}
	return l, nil
}

// marker is a file that says of a directory that a lab made it, so that nothing
// else is ever removed. The name of the driver is in it.
const marker = "this-is-an-orch-lab"

// labDir makes the directory. One that has something in it is refused: Close
// removes it.
func labDir(dir, driver string) (string, error) {
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "orch-lab-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", err
	}
	if dir, err = realPath(dir); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty", dir)
	}
	return dir, os.WriteFile(filepath.Join(dir, marker), []byte(driver), 0o600)
}

// realPath is dir as a node spells it.
func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// Demolish ends and removes the lab in dir, which another program made and left up.
// It returns how many processes and containers there were.
func Demolish(ctx context.Context, dir string) (int, error) {
	dir, err := realPath(dir)
	if err != nil {
		return 0, fmt.Errorf("demolish: %w", err)
	}
	driver, err := os.ReadFile(filepath.Join(dir, marker))
	if err != nil {
		return 0, fmt.Errorf("demolish: %s is not a lab: %w", dir, err)
	}
	var engines []*client.Client
	if string(driver) == "docker" {
		if engines, err = openEngines(nil); err != nil {
			return 0, fmt.Errorf("demolish: %w", err)
		}
	}
	killed, err := sweep(ctx, dir, engines)
	err = errors.Join(err, closeEngines(engines), unmountBelow(ctx, dir))
	if err != nil {
		return killed, fmt.Errorf("demolish: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return killed, fmt.Errorf("demolish: %w", err)
	}
	return killed, nil
}

// Dir is the directory of the lab: one directory for each node, with its data and
// its log.
func (l *Lab) Dir() string { return l.dir }

// Nodes are all nodes of the lab, dead ones too, in the order in which they were
// added.
func (l *Lab) Nodes() []*Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.nodes)
}

// Alive are the nodes whose agent runs.
func (l *Lab) Alive() []*Node {
	return slices.DeleteFunc(l.Nodes(), func(n *Node) bool { return !n.Running() })
}

// Fallen are the agents that have ended though nothing was done after which they may,
// and how. It is for labs in which no node leaves the cluster.
func (l *Lab) Fallen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.fallen)
}

// lost remembers an agent that has ended and should not have.
func (l *Lab) lost(n *Node, a *agent) {
	words := fmt.Sprintf("%s: the agent of %s, pid %d, ended (%s); its last words:\n%s", time.Now().Format("15:04:05.000"), n.Name, a.pid, a.how(), n.LastWords())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fallen = append(l.fallen, words)
}

// NodeByID is the node with that id, or nil.
func (l *Lab) NodeByID(id api.NodeID) *Node {
	for _, n := range l.Nodes() {
		if n.ID() == id {
			return n
		}
	}
	return nil
}

// Start adds so many nodes and returns when each is ready and sees all of the lab.
func (l *Lab) Start(ctx context.Context, nodes int) error {
	if len(l.Nodes()) == 0 && nodes > 0 {
		if _, err := l.launch(ctx, l.cfg.Resources); err != nil {
			return err
		}
		nodes--
	}
	g, gctx := errgroup.WithContext(ctx)
	for range nodes {
		g.Go(func() error {
			_, err := l.launch(gctx, l.cfg.Resources)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.AwaitReady(ctx)
}

// AddNode adds a node that offers so much and returns when it is ready. The first
// node of a lab makes the cluster, every other one joins the first that is alive.
func (l *Lab) AddNode(ctx context.Context, offers api.Resources) (*Node, error) {
	n, err := l.launch(ctx, offers)
	if err != nil {
		return nil, err
	}
	return n, n.AwaitReady(ctx)
}

// launch adds a node and returns when its API answers.
func (l *Lab) launch(ctx context.Context, offers api.Resources) (*Node, error) {
	peer, token, err := l.door(ctx)
	if err != nil {
		return nil, err
	}
	n, err := l.newNode(ctx, offers)
	if err != nil {
		return nil, err
	}
	verb := []string{"start"}
	if peer != nil {
		verb = []string{"join", peer.GossipAddr(), "--token-file", token}
	}
	if err := n.run(ctx, verb); err != nil {
		return nil, err
	}
	return n, n.awaitAPI(ctx)
}

// door is whom to join and the file with the token; nobody in an empty lab.
func (l *Lab) door(ctx context.Context) (*Node, string, error) {
	if len(l.Nodes()) == 0 {
		return nil, "", nil
	}
	alive := l.Alive()
	if len(alive) == 0 {
		return nil, "", errors.New("nobody of the lab is alive to be joined")
	}
	token, err := l.TokenFile(ctx)
	return alive[0], token, err
}

// TokenFile is a file with the token for joining the lab's cluster. It needs a first
// node that has answered once.
func (l *Lab) TokenFile(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token != "" {
		return l.token, nil
	}
	if len(l.nodes) == 0 {
		return "", errors.New("a lab without nodes has no token")
	}
	out, err := l.Orch(ctx, "token", "--data-dir", l.nodes[0].DataDir)
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		return "", fmt.Errorf("orch token: exit code %d: %s", out.Code, out.Stderr)
	}
	path := filepath.Join(l.dir, "token")
	if err := os.WriteFile(path, []byte(out.Stdout), 0o600); err != nil {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	l.token = path
	return path, nil
}

// newNode gives a node its name, ports and directory.
func (l *Lab) newNode(ctx context.Context, offers api.Resources) (*Node, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	base, number := ownBase, len(l.nodes)+1
	if l.network == nil {
		var err error
		if base, err = FreeBlock(l.nextPort); err != nil {
			return nil, err
		}
		l.nextPort = base + blockStep
	}
	n, err := newNode(l, fmt.Sprintf("n%d", number), base, offers)
	if err != nil {
		return nil, err
	}
	if l.network != nil {
		err = n.plugIn(ctx, number)
	}
	if err == nil && l.cfg.Disk > 0 {
		err = n.newDisk(ctx, l.cfg.Disk)
	}
	if err != nil {
		return nil, errors.Join(err, n.unplug())
	}
	l.nodes = append(l.nodes, n)
	return n, nil
}

// AwaitReady returns when all nodes that are alive are ready and each sees exactly
// those as ready and has a connection to them. It fails as soon as one ends.
func (l *Lab) AwaitReady(ctx context.Context) error {
	alive := l.Alive()
	ctx, cancel := whileRunning(ctx, alive...)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range alive {
		g.Go(func() error {
			if err := n.AwaitReady(gctx); err != nil {
				return err
			}
			return Eventually(gctx, n.Name+" sees all nodes", func() error { return n.sees(gctx, len(alive)) })
		})
	}
	return g.Wait()
}

// Close ends everything that the lab started, tasks included, and removes its
// directory. It fails if anything is left.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for _, n := range l.Nodes() {
		errs = append(errs, n.end(ctx))
	}
	if _, err := sweep(ctx, l.dir, l.engines); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, closeEngines(l.engines), unmountBelow(ctx, l.dir))
	for _, n := range l.Nodes() {
		errs = append(errs, n.unplug())
	}
	if l.network != nil {
		errs = append(errs, l.network.Close())
	}
	if err := os.RemoveAll(l.dir); err != nil {
		errs = append(errs, fmt.Errorf("remove the lab: %w", err))
	}
	return errors.Join(errs...)
}

// logf tells what is done.
func (l *Lab) logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.cfg.Log, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
}
