package scenarios

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// Node is one node of a lab: a directory, three ports, and at times an agent.
type Node struct {
	Name    string
	Base    int // port of the API; gossip has the next one, peers the one after
	DataDir string
	Offers  api.Resources

	lab    *Lab
	dir    string // for all of it
	host   string // address for other nodes
	client *rest.Client
	ns     *namespace // its network; nil where it is the machine's
	rules  string     // its firewall; guarded by the lab's wiring

	mu    sync.Mutex // guards what follows
	id    api.NodeID // "" until the node was ready once
	agent *agent     // the last one; nil before the first
}

// An agent is one started process. Only its waiter touches cmd once it runs.
type agent struct {
	pid  int
	told atomic.Bool   // to end, or something was done after which it may
	done chan struct{} // closed when it has ended
	err  error         // how; valid once done is closed
}

func newNode(l *Lab, name string, base int, offers api.Resources) (*Node, error) {
	n := &Node{Name: name, Base: base, Offers: offers, lab: l, dir: filepath.Join(l.dir, name), host: "127.0.0.1"}
	n.DataDir = filepath.Join(n.dir, "data")
	if l.cfg.Disk > 0 {
		n.DataDir = filepath.Join(n.dir, diskDir, "data")
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	var err error
	if n.client, err = rest.NewClient([]string{n.APIAddr()}, ""); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return n, nil
}

// ownBase is the base port of nodes that have their network for themselves.
const ownBase = 7070

// plugIn gives the node a network of its own, which is the lab's, and an address.
func (n *Node) plugIn(ctx context.Context, number int) error {
	n.host = fmt.Sprintf("10.77.%d.%d", number/250, 1+number%250)
	var err error
	if n.ns, err = newNamespace("true"); err != nil {
		return fmt.Errorf("make the network of %s: %w", n.Name, err)
	}
	return n.lab.network.Connect(ctx, n.ns.pid(), n.Name, "eth0", n.host+"/16")
}

func (n *Node) unplug() error {
	if n.ns == nil {
		return nil
	}
	return n.ns.close()
}

// APIAddr is host and port of the node's API, or its socket.
func (n *Node) APIAddr() string {
	if n.lab.cfg.Sockets || n.lab.cfg.Network {
		return "unix://" + filepath.Join(n.dir, "orch.sock")
	}
	return loopback(n.Base)
}

// GossipAddr is host and port that other nodes join.
func (n *Node) GossipAddr() string { return net.JoinHostPort(n.host, strconv.Itoa(n.Base+1)) }

// LogFile is what its agents wrote.
func (n *Node) LogFile() string { return filepath.Join(n.dir, "agent.log") }

// Service asks this node and no other.
func (n *Node) Service() api.Service { return n.client }

// Raw is the answer to a GET of this node's API, byte for byte.
func (n *Node) Raw(ctx context.Context, path string) ([]byte, error) { return n.client.Raw(ctx, path) }

// ID is the node's id, or "" if it was never ready.
func (n *Node) ID() api.NodeID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

// PID is the process number of the agent that was started last, or 0.
func (n *Node) PID() int {
	if a := n.last(); a != nil {
		return a.pid
	}
	return 0
}

func (n *Node) last() *agent {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.agent
}

// Running says whether the node has an agent; a paused one counts.
func (n *Node) Running() bool {
	a := n.last()
	return a != nil && a.running()
}

func (a *agent) running() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// how says how an agent ended that has.
func (a *agent) how() string {
	if a.err == nil {
		return "exit status 0"
	}
	return a.err.Error()
}

// flags are those with which every agent of the node is started.
func (n *Node) flags() []string {
	own := []string{
		"--name", n.Name, "--data-dir", n.DataDir, "--bind", n.host, "--advertise", n.host,
		"--ports", strconv.Itoa(n.Base), "--api", n.APIAddr(), "--drivers", n.lab.cfg.Driver, "--profile", n.lab.cfg.Profile,
		"--cpus", n.Offers.CPUs.String(), "--memory", strconv.FormatInt(int64(n.Offers.Memory), 10),
	}
	if more := n.lab.cfg.Flags; more != nil {
		own = append(own, more(n.Name)...)
	}
	return own
}

// run starts an agent, in a session of its own so that neither a terminal nor the
// end of this program ends it. Its output goes to the node's log.
func (n *Node) run(ctx context.Context, verb []string) error {
	if n.Running() {
		return fmt.Errorf("start %s: it runs", n.Name)
	}
	log, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	defer log.Close() // the agent has its own
	binary := n.lab.cfg.Binary
	if n.lab.cfg.BinaryOf != nil {
		binary = cmp.Or(n.lab.cfg.BinaryOf(n.Name), binary)
	}
	args := append(append([]string{binary}, verb...), n.flags()...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	if n.ns != nil {
		cmd = inside(context.WithoutCancel(ctx), n.ns.pid(), args...)
	}
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, n.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	a := &agent{pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		a.err = cmd.Wait()
		close(a.done)
		if !a.told.Load() {
			n.lab.lost(n, a)
		}
	}()
	n.mu.Lock()
	n.agent = a
	n.mu.Unlock()
	n.lab.logf("%s: %s, pid %d", n.Name, verb[0], a.pid)
	return nil
}

// env is the environment of the node's agents.
func (n *Node) env() []string {
	env := cleanEnv()
	if e, ok := n.lab.cfg.Engines[n.Name]; ok {
		env = append(env, "DOCKER_HOST="+cmp.Or(e.Through, e.Host)) // the last of a name counts
	}
	return env
}

// cleanEnv is our environment without what orch would listen to.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ORCH_") {
			env = append(env, v)
		}
	}
	return env
}

// awaitAPI returns when the API answers, ready or not.
func (n *Node) awaitAPI(ctx context.Context) error {
	return n.await(ctx, "the API of "+n.Name+" answers", func() error {
		_, err := n.client.Version(ctx)
		return err
	})
}

// AwaitReady returns when the node takes requests.
func (n *Node) AwaitReady(ctx context.Context) error {
	err := n.await(ctx, n.Name+" is ready", func() error { return n.client.Ready(ctx) })
	if err != nil || n.ID() != "" {
		return err
	}
	return n.await(ctx, n.Name+" knows itself", func() error { return n.learnID(ctx) })
}

// await is Eventually for a node, and ends at once with its agent.
func (n *Node) await(ctx context.Context, what string, ok func() error) error {
	ctx, cancel := whileRunning(ctx, n)
	defer cancel()
	return Eventually(ctx, what, ok)
}

// whileRunning is a context that also ends when an agent of nodes does, and then
// has the reason as its cause.
func whileRunning(ctx context.Context, nodes ...*Node) (context.Context, context.CancelFunc) {
	running, cancel := context.WithCancelCause(ctx)
	for _, n := range nodes {
		a := n.last()
		if a == nil {
			cancel(fmt.Errorf("%s was never started", n.Name))
			break
		}
		go func() {
			select {
			case <-a.done:
				cancel(fmt.Errorf("the agent of %s ended (%s); its last words:\n%s", n.Name, a.how(), n.LastWords()))
			case <-running.Done():
			}
		}()
	}
	return running, func() { cancel(nil) }
}

// learnID asks the node who it is.
func (n *Node) learnID(ctx context.Context) error {
	nodes, err := n.client.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, m := range nodes {
		if m.Self {
			n.mu.Lock()
			n.id = m.ID
			n.mu.Unlock()
			return nil
		}
	}
	return fmt.Errorf("%s does not list itself", n.Name)
}

// sees says what keeps the node from seeing exactly so many as ready.
func (n *Node) sees(ctx context.Context, want int) error {
	nodes, err := n.client.Nodes(ctx)
	if err != nil {
		return err
	}
	ready, rest := 0, ""
	for _, m := range nodes {
		switch {
		case m.Status != api.NodeReady:
			rest += fmt.Sprintf(", %s is %s", m.Name, m.Status)
		case !m.Self && !m.Reachable:
			rest += fmt.Sprintf(", %s is not connected", m.Name)
		default:
			ready++
		}
	}
	if ready != want {
		return fmt.Errorf("%s knows %d nodes, %d ready and connected, want %d%s", n.Name, len(nodes), ready, want, rest)
	}
	return nil
}

// LastWords are the last lines of the node's log.
func (n *Node) LastWords() string {
	b, err := os.ReadFile(n.LogFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
