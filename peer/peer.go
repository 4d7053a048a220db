package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// Timing of a node.
const (
	bootGrace     = 30 * time.Second // an owner not seen since this boot is unknown for so long
	restartGrace  = 60 * time.Second // a node that said it would be back is unknown for so long
	forgetAfter   = 7 * 24 * time.Hour
	lookEvery     = time.Second            // the loop looks at least so often
	lookPause     = 10 * time.Millisecond  // and lets so much pass between two looks, to see changes together
	lookShare     = 10                     // and so many times what the look took, so that looking stays a small part
	lookPauseMax  = 200 * time.Millisecond // but not more than that
	watchdogTicks = 10                     // seconds without a look after which a node is stuck
	maxAuctions   = 16                     // held by one node at a time
	durableDisks  = 3
	writeTimeout  = 3 * time.Second // to reach the disks of others
)

// Config is what a node is made of. All fields up to Log are needed unless they
// say otherwise.
type Config struct {
	Dir           *Dir
	Secret        Secret
	Name          string
	Bind          string     // "" listens on all addresses
	Advertise     netip.Addr // where the others reach this node
	AdvertisePort int        // gossip port as they reach it; 0 is GossipPort
	GossipPort    int        // 0 takes a free one
	PeerPort      int        // 0 takes a free one
	Profile       gossip.Profile
	Drivers       []runtime.Driver
	Allow         []string // of [api.Allowances]: what tasks may have of this node beyond their confinement
	Capacity      api.Resources
	Labels        map[string]string
	OS, Arch      string
	Version       api.Version
	Seeds         []string // gossip addresses to join, tried for ever
	Fresh         bool     // the first node of a new cluster: nobody to wait for
	Probation     bool     // not ready, and no member, before Join has succeeded
	Stuck         func()   // called when the node has not looked for 10 s; should end the process. nil: nothing
	Log           logrus.FieldLogger

	// Move makes this node a member of another cluster, and answers JoinCluster. It
	// stops this Peer and makes another. nil: the node stays where it is.
	Move func(context.Context, Secret, api.Joining) (api.Joined, error)

	// For tests in virtual time; nil and 0 are the real thing.
	Retention time.Duration // of what was removed
	// MaxRecords bounds the table; 0: as gossip does.
	MaxRecords int
	Host       host.Host
	Transport  memberlist.Transport
	Dial       gossip.DialFunc
}

// Peer is one node: its core, and all that connects it with the world. Use: New,
// Open, Run.
type Peer struct {
	host       host.Host
	replica    *gossip.Replica
	membership *gossip.Membership
	auctioneer *bidding.Auctioneer
	metrics    *metrics
	server     *bidding.Server
	events     *eventLog
	revisions  *revisions

	turns   atomic.Uint64   // looks taken
	member  atomic.Bool     // the secret is stored: the next agent here will be of this cluster, too
	wake    chan struct{}   // the loop should look
	relist  chan struct{}   // containers may have changed
	recheck chan struct{}   // a driver may have changed
	left    chan struct{}   // nothing holds this node in the cluster any more
	ops     sync.WaitGroup  // goroutines of the loop's actions
	asked   sync.WaitGroup  // answers to other nodes
	ctx     context.Context // ends when the node begins to stop
	stop    context.CancelFunc

	startSlots chan struct{} // one for each start under way
	listAsked  atomic.Uint64 // lists of containers that were asked for
	listing    chan struct{} // full while containers are listed, which may take long; guards the next two
	listBegun  uint64        // listAsked when the last list began
	listNext   time.Time     // the next one begins no earlier
	accepting  sync.Mutex    // held from looking at the ledger until what was accepted is in the index

	asides sync.Mutex // held while files of what was set aside are read and written

	mu        sync.Mutex // guards all below, but what is set once before Run: cfg to hooks of the core
	core                 // what this node knows and decides
	past      history
	queued    []func(context.Context)  // for the loop to begin
	broke     map[api.NodeID]time.Time // when the connection to a node broke last
	repairs   map[SlotKey]repair       // slots that were lost with their nodes, and do not run yet
	asideLeft int                      // jobs that this node has set aside and nobody has restored
	published map[string]string        // tags last handed to Serf
	publishAt time.Time
	sights    // what was last told of it all
}

// fault is how tasks of a job failed here lately.
type fault struct {
	hash  string
	count int
	at    time.Time
	until time.Time
	what  string
}

// New checks cfg and makes a node that does nothing yet.
func New(cfg Config) (*Peer, error) {
	switch {
	case cfg.Dir == nil || cfg.Log == nil:
		return nil, errors.New("a node needs a data directory and a log")
	case !api.ValidNodeName(cfg.Name):
		return nil, fmt.Errorf("%.80q cannot name a node: choose --name of 1 to 63 letters, digits, . _ or -", cfg.Name)
	case cfg.Capacity.CPUs <= 0 || cfg.Capacity.Memory <= 0:
		return nil, errors.New("a node needs cpus and memory to offer: give --cpus and --memory")
	}
	p := &Peer{
		wake: make(chan struct{}, 1), relist: make(chan struct{}, 1), recheck: make(chan struct{}, 1), left: make(chan struct{}, 1),
		startSlots: make(chan struct{}, maxStarts()), listing: make(chan struct{}, 1), core: newCore(cfg), past: history{},
		broke: map[api.NodeID]time.Time{}, repairs: map[SlotKey]repair{},
	}
	p.id, p.boot, p.log = cfg.Dir.ID, newBoot(), cfg.Log.WithField("node", cfg.Name)
	p.cluster, p.lock, p.around = cfg.Secret.ClusterID(), cfg.Dir.LockPath(), around{p}
	p.hooks = hooks{enter: p.enter, noted: p.noted, failed: p.countFailure, retried: func(job string) { p.revisions.bump(job) }}
	p.events, p.revisions, p.sights = newEventLog(p.boot), newRevisions(p.boot), newSights()
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.metrics = newMetrics(p.driverNames())
	stored, ok, err := cfg.Dir.Secret()
	p.member.Store(ok && stored == cfg.Secret)
	return p, err
}

// Open opens the table, binds the ports and reports what is in their way. What it
// opened is closed by Run or, if it fails, by itself. ctx bounds the work of the whole
// life of the node.
func (p *Peer) Open(ctx context.Context) (err error) {
	p.started = time.Now()
	p.events.started = p.started
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.host = p.cfg.Host; p.host == nil {
		if p.host, err = openHost(p.cfg); err != nil {
			return err
		}
		p.cfg.PeerPort = listenPort(p.host)
	}
	if err = p.openTable(); err != nil {
		return err
	}
	if _, err := p.listAside(); err != nil {
		p.log.WithError(err).Warn("what was set aside cannot be listed")
	}
	if err = p.openGossip(ctx); err != nil {
		return err
	}
	p.openAuctions()
	p.serveData()
	p.watchBreaks()
	return nil
}

func (p *Peer) openGossip(ctx context.Context) (err error) {
	if p.membership, err = gossip.NewMembership(gossip.MembershipConfig{
		ID: string(p.id), Boot: p.boot, Started: p.started,
		Bind: p.cfg.Bind, Advertise: p.cfg.Advertise, AdvertisePort: p.cfg.AdvertisePort, Port: p.cfg.GossipPort, PeerPort: p.cfg.PeerPort,
		Key: p.cfg.Secret.GossipKey(), Profile: p.cfg.Profile, Tags: p.tags(),
		BookPath: filepath.Join(p.cfg.Dir.Path, "peers.json"), Seeds: p.cfg.Seeds,
		OnChange: p.look, Transport: p.cfg.Transport, Dial: p.cfg.Dial, Host: p.host, Log: p.log,
	}); err != nil {
		return fmt.Errorf("open gossip: %w", err)
	}
	if err = p.membership.Open(ctx); err != nil {
		return fmt.Errorf("open gossip: %w", err)
	}
	return nil
}

// openTable reads the table from disk.
func (p *Peer) openTable() (err error) {
	p.replica, err = gossip.NewReplica(gossip.ReplicaConfig{
		Host: p.host, Boot: p.boot, Path: filepath.Join(p.cfg.Dir.Path, "table.db"), AsideDir: p.asideDir(),
		Retention: p.cfg.Retention, MaxRecords: p.cfg.MaxRecords, Rules: Rules(), Vouch: p.member.Load, Members: p.tableMembers, Alive: p.alivePeers, OnChange: p.tableChanged, OnSync: p.metrics.synced, OnAside: p.tellAside, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replica.Range("", func(r gossip.Record) bool {
		p.index.apply(r)
		return true
	})
	return nil
}

// Run lives until ctx ends or something breaks that a node cannot do without.
// Tasks stay when it stops: the next agent on the data directory, or the other
// nodes, go on with them. The order of stopping: nothing new is begun; the others
// are told; what is under way ends; then the streams and gossip, and last the
// table, to which all before may still write.
func (p *Peer) Run(ctx context.Context) error {
	defer p.close()
	table := newLayer(ctx, p.replica.Run)
	members := newLayer(ctx, p.membership.Run)
	work := newLayer(ctx, p.loop, p.watchContainers, p.watchSiblings, p.watchClocks, p.watchdog)
	asked, left := false, false
	select {
	case <-ctx.Done():
		asked = true
	case <-p.left:
		left = true
	case <-table.ctx.Done():
	case <-members.ctx.Done():
	case <-work.ctx.Done():
	}
	p.stop()
	err := work.end()
	if asked { // who ends because something broke does not promise to be back
		p.sayGoodbye()
	}
	p.ops.Wait()
	if left {
		p.depart()
		err = errors.Join(err, ErrLeft)
	}
	p.server.Close()
	err = errors.Join(err, members.end())
	p.host.RemoveStreamHandler(dataProtocol)
	p.asked.Wait()
	return errors.Join(err, table.end())
}

// layer is a group of components that stop together.
type layer struct {
	ctx    context.Context // ends when one of them does
	cancel context.CancelFunc
	group  *errgroup.Group
}

// newLayer runs components until end, whatever becomes of parent; only the
// values of parent are used, since layers stop one after the other.
func newLayer(parent context.Context, run ...func(context.Context) error) *layer {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	l := &layer{cancel: cancel}
	l.group, l.ctx = errgroup.WithContext(ctx)
	for _, f := range run {
		l.group.Go(func() error { return f(l.ctx) })
	}
	return l
}

// end stops the layer, waits for it, and returns why it stopped if not for this.
func (l *layer) end() error {
	l.cancel()
	if err := l.group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// close releases what Open took. It may be called again, and after Run.
func (p *Peer) close() {
	p.stop()
	if p.membership != nil {
		if err := p.membership.Close(); err != nil {
			p.log.WithError(err).Warn("gossip did not close well")
		}
	}
	if p.host != nil {
		_ = p.host.Close() // nothing can be done about it, and nothing is lost
	}
	if p.replica != nil {
		if err := p.replica.Close(); err != nil {
			p.log.WithError(err).Warn("the table did not close well")
		}
	}
}

// ID is the node's own.
func (p *Peer) ID() api.NodeID { return p.id }

// Addresses are where this node's gossip and its streams are reached.
func (p *Peer) Addresses() (gossipAddr, peerAddr string) {
	return net.JoinHostPort(p.cfg.Advertise.String(), strconv.Itoa(p.membership.GossipPort())),
		net.JoinHostPort(p.cfg.Advertise.String(), strconv.Itoa(p.cfg.PeerPort))
}

// enter makes this node's disk one of the cluster's for good. Without the secret the
// next agent would take what is there for what is left of a join that came to nothing.
func (p *Peer) enter() error {
	if p.member.Load() {
		return nil
	}
	err := p.cfg.Dir.SetSecret(p.cfg.Secret)
	p.member.Store(err == nil)
	return err
}

// Join makes one attempt to join through addresses of members, and has one of
// them dial back. Run must be running. Its errors say what to do.
func (p *Peer) Join(ctx context.Context, addrs []string) error {
	if err := p.membership.Join(ctx, addrs); err != nil {
		return err
	}
	helper, err := p.anyConnected(ctx)
	if err != nil {
		return fmt.Errorf("joined %v, but %w", addrs, err)
	}
	id, err := peerID(helper)
	if err != nil {
		return err
	}
	if err := p.membership.CheckReachable(ctx, id); err != nil {
		return err
	}
	p.mu.Lock()
	p.joined = true
	p.mu.Unlock()
	p.look()
	return nil
}

// Withdraw tells the others that this node will not be back. It is for a join that
// came to nothing.
func (p *Peer) Withdraw(ctx context.Context) error { return p.membership.Leave(ctx) }

// anyConnected waits for a connection to a live member.
func (p *Peer) anyConnected(ctx context.Context) (api.NodeID, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, id := range p.alivePeers() {
			if p.connected(id) {
				return nodeID(id), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", errors.New("no member's peer port can be reached: is port 7072/tcp (or what they give as --peer-port) open there?")
		case <-tick.C:
		}
	}
}

// look wakes the loop. It never blocks.
func (p *Peer) look() { poke(p.wake) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tableChanged follows the table, in order.
func (p *Peer) tableChanged(changed []gossip.Record, dropped []string) {
	now := time.Now()
	p.mu.Lock()
	for _, r := range changed {
		p.note(r, now)
	}
	for _, key := range dropped {
		prev, gone := p.forget(key)
		if !gone {
			continue
		}
		p.tellRecord(key, prev, now, now)
		if k, err := parseSlotKey(key); err == nil {
			delete(p.repairs, k)
			delete(p.past, k)
		}
	}
	p.mu.Unlock()
	p.look()
}

// noted follows what becomes news in the index. Lock held.
func (p *Peer) noted(key string, prev entry, r gossip.Record, now time.Time) {
	p.tellRecord(key, prev, time.UnixMilli(r.Time), now)
	if k, err := parseSlotKey(key); err == nil {
		p.supersede(prev.slot, p.index.slot(k), now)
		p.repaired(k, now)
	}
}

// around is a Peer as its core sees it.
type around struct{ p *Peer }

func (a around) Members() []gossip.Member                 { return a.p.membership.Members() }
func (a around) Dead(id string) (bool, string, time.Time) { return a.p.membership.Dead(id) }
func (a around) Get(key string) (gossip.Record, bool)     { return a.p.replica.Get(key) }
func (a around) EverSynced() bool                         { return a.p.replica.EverSynced() }
func (a around) Apart() []gossip.Apart                    { return a.p.membership.Apart() }

func (a around) Synced(id api.NodeID) bool {
	pid, err := peerID(id)
	return err == nil && a.p.replica.Synced(pid)
}

func (a around) Address() string {
	address, _ := a.p.Addresses()
	return address
}

func (c *core) changedAt(k SlotKey) time.Time {
	if t, ok := c.changed[k]; ok {
		return t
	}
	return c.started
}

// jitter is for spreading retries.
func jitter() float64 { return rand.Float64() }
