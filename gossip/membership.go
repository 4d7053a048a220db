package gossip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/sirupsen/logrus"
)

// gossipLabel is the same for all clusters: the key keeps them apart, and a wrong
// key can be told from a program that is not orch, a wrong label cannot.
const gossipLabel = "orch"

// forgetAfter is how long Serf shows a boot that failed or left. Each start of a
// node makes a new one, so that this bounds the list.
const forgetAfter = 30 * time.Minute

// tagsRepeat is when tags are told once more, or up to as much later.
const tagsRepeat = 3 * time.Second

// slowLook is how often the members are read again even if no event came.
const slowLook = 10 * time.Second

var errNotOpen = errors.New("membership is not open")

// DialFunc makes a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// MembershipConfig is what a Membership needs to know.
type MembershipConfig struct {
	ID      string    // libp2p peer ID of this node
	Boot    string    // random, new with each start: lower-case letters and digits
	Started time.Time // of this boot

	Bind          string     // address to listen on; "" for all
	Advertise     netip.Addr // where the others reach this node; by default Bind, or loopback
	Port          int        // gossip, TCP and UDP; 0 for any free one
	AdvertisePort int        // gossip port as others reach it; 0 for the same
	PeerPort      int        // libp2p, TCP, as others reach it

	Key     []byte // 32 bytes; the others must have the same
	Profile Profile
	Tags    map[string]string // first tags; see SetTags

	BookPath string   // file of known peers; "" for none
	Seeds    []string // addresses tried for ever, besides those of the book

	OnChange  func()               // after any change of Members or Dead; must not block
	Transport memberlist.Transport // nil: real sockets
	Dial      DialFunc             // nil: net.Dialer
	Host      host.Host            // nil: gossip alone, with no connections and no fast detection
	Log       logrus.FieldLogger
}

// Membership says who is here and who is alive. It is Serf's failure detection,
// a libp2p connection to every living member, a faster detector that uses these
// connections, and a book of known peers that are called again for ever.
//
// Open binds the ports, Run does the work, and returns when its context ends:
// that is a stop, after which the others see this boot fail. Leave is a goodbye.
type Membership struct {
	cfg    MembershipConfig
	wire   Wire // that this build speaks
	log    logrus.FieldLogger
	serf   *serf.Serf // set by Open
	prober *udpProber // set by Open; nil on a transport that is not ours

	dirty   chan struct{} // members may have changed
	tagsDue chan struct{}
	callNow chan struct{} // wakes the calls to known peers
	tasks   sync.WaitGroup

	// Without a host these are nil.
	watcher   *watcher
	connector *connector
	server    *memberServer

	refreshMu sync.Mutex // makes reading Serf and noting it one step

	mu      sync.Mutex // guards the following
	tags    map[string]string
	members map[string]Member // by Serf's name
	version int               // counts the changes of members
	leaving bool
	apart   map[string]Apart // by the ids of both

	bookMu sync.Mutex // guards the following
	book   *peerBook
	seeds  []string // addresses called besides those of the book
}

// NewMembership checks cfg. It binds nothing and starts nothing.
func NewMembership(cfg MembershipConfig) (*Membership, error) {
	if err := checkMembership(cfg); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func() {}
	}
	m := &Membership{cfg: cfg, wire: Wire{WireMin, WireMax}, log: cfg.Log, apart: map[string]Apart{}, tags: maps.Clone(cfg.Tags), members: map[string]Member{}, seeds: slices.Clone(cfg.Seeds),
		book: &peerBook{peers: map[string]bookPeer{}}, dirty: make(chan struct{}, 1), tagsDue: make(chan struct{}, 1), callNow: make(chan struct{}, 1)}
	if cfg.Host != nil {
		m.watcher = newWatcher(cfg.Host, cfg.Dial, cfg.Log, m.newest, cfg.OnChange)
		m.connector = newConnector(cfg.Host, cfg.Log, m.others)
	}
	return m, nil
}

func checkMembership(cfg MembershipConfig) error {
	switch {
	case !memberID.MatchString(cfg.ID):
		return fmt.Errorf("node ID %q: want 1 to 80 letters and digits", cfg.ID)
	case !memberBoot.MatchString(cfg.Boot):
		return fmt.Errorf("boot %q: want 1 to 32 lower-case letters and digits", cfg.Boot)
	case cfg.Started.IsZero():
		return errors.New("the time of the start is missing")
	case len(cfg.Key) != 32:
		return fmt.Errorf("the gossip key has %d bytes, want 32", len(cfg.Key))
	case cfg.Log == nil:
		return errors.New("the log is missing")
	case cfg.Host != nil && cfg.Host.ID().String() != cfg.ID:
		return fmt.Errorf("the libp2p host is %s, the node %s", cfg.Host.ID(), cfg.ID)
	case cfg.Bind != "" && net.ParseIP(cfg.Bind) == nil:
		return fmt.Errorf("bind address %q is not an IP address", cfg.Bind)
	}
	for what, port := range map[string]int{"gossip": cfg.Port, "advertised gossip": cfg.AdvertisePort, "peer": cfg.PeerPort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("%s port %d is out of range", what, port)
		}
	}
	if err := checkMemberTags(cfg.Tags); err != nil {
		return err
	}
	return cfg.Profile.Check()
}

func checkMemberTags(tags map[string]string) error {
	for k := range tags {
		if k == "" || strings.HasPrefix(k, ".") {
			return fmt.Errorf("tag %q: a name is not empty and does not begin with a dot", k)
		}
	}
	// The longest values of our own tags.
	full := encodeMemberTags(tags, time.UnixMilli(1<<53), 65535, Wire{9999, 9999})
	if size := memberTagsSize(full); size > maxTags {
		return fmt.Errorf("the tags of this node need %d bytes, %d too many: shorten its name, zone or labels", size, size-maxTags)
	}
	return nil
}

// Open binds the gossip port and joins nobody yet. Close or Run release what it
// takes.
func (m *Membership) Open(ctx context.Context) error {
	book, aside, err := openBook(m.cfg.BookPath)
	if err != nil {
		return err
	}
	if aside != "" {
		m.log.WithField("file", aside).Error("the peer book was not readable and was moved aside: join again if no other node calls")
	}
	m.book = book
	logger := memberLogger(m.log)
	transport := m.cfg.Transport
	if transport == nil {
		if m.prober, err = newUDPProber(&memberlist.NetTransportConfig{
			BindAddrs: []string{m.cfg.Bind}, BindPort: m.cfg.Port, Logger: logger}, m.cfg.Key, serfName(m.cfg.ID, m.cfg.Boot)); err != nil {
			return m.bindError(ctx, err)
		}
		m.tasks.Go(m.prober.forward)
		m.cfg.Port = m.prober.GetAutoBindPort()
		transport = m.prober
	}
	events := make(chan serf.Event, 1024)
	conf := m.serfConfig(transport)
	conf.EventCh = events
	conf.Logger, conf.MemberlistConfig.Logger = logger, logger
	if m.serf, err = serf.Create(conf); err != nil {
		return errors.Join(fmt.Errorf("start gossip: %w", err), transport.Shutdown())
	}
	m.tasks.Go(func() { m.drain(events) })
	m.refresh()
	if m.cfg.Host != nil {
		m.server = newMemberServer(m.cfg.Host, m.log)
		m.server.handle(probeProtocol, m.watcher.serve)
		m.server.handle(dialbackProtocol, m.serveDialback)
	}
	return nil
}

func (m *Membership) serfConfig(transport memberlist.Transport) *serf.Config {
	p := m.cfg.Profile
	list := p.memberlist()
	list.Transport = transport
	list.Merge, list.Alive = gatekeeper{m}, gatekeeper{m}
	list.BindPort, list.AdvertisePort = m.cfg.Port, m.cfg.Port
	if m.cfg.AdvertisePort != 0 {
		list.AdvertisePort = m.cfg.AdvertisePort
	}
	list.AdvertiseAddr = m.advertised().String()
	list.SecretKey = m.cfg.Key
	list.LogOutput = nil

	conf := serf.DefaultConfig()
	conf.MemberlistConfig = list
	conf.NodeName = serfName(m.cfg.ID, m.cfg.Boot)
	conf.Tags = filled(encodeMemberTags(m.tags, m.cfg.Started, m.cfg.PeerPort, m.wire), rand.IntN(maxFill))
	conf.BroadcastTimeout = p.broadcastTimeout()
	conf.LeavePropagateDelay = p.broadcastTimeout() / 2
	conf.ReconnectInterval = p.reconnectInterval()
	conf.ReconnectTimeout = forgetAfter
	conf.TombstoneTimeout = forgetAfter
	conf.DisableCoordinates = true
	conf.ValidateNodeNames = true
	// Names are unique by their boot. The vote about a name would only ever shut
	// down a node whose address changed.
	conf.EnableNameConflictResolution = false
	return conf
}

func (m *Membership) advertised() netip.Addr {
	if m.cfg.Advertise.IsValid() {
		return m.cfg.Advertise.Unmap()
	}
	if a, err := netip.ParseAddr(m.cfg.Bind); err == nil && !a.IsUnspecified() {
		return a.Unmap()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// drain takes Serf's events for ever: Serf sends them under its own lock, and all
// of it stands still once they are not taken. They only say that something
// changed; what, is read from Serf.
func (m *Membership) drain(events <-chan serf.Event) {
	for {
		select {
		case <-events:
			wakeUp(m.dirty)
		case <-m.serf.ShutdownCh():
			return // the room left in events takes what was under way
		}
	}
}

// Run keeps the membership until ctx ends; then, or when Serf stops by itself,
// which is an error, it releases all that Open took. It is called once.
func (m *Membership) Run(ctx context.Context) error {
	if m.serf == nil {
		return errNotOpen
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.tasks.Go(func() { m.watch(ctx) })
	m.tasks.Go(func() { m.publish(ctx) })
	m.tasks.Go(func() { m.callKnown(ctx) })
	if m.cfg.Host != nil {
		m.tasks.Go(func() { m.watcher.run(ctx) })
		m.tasks.Go(func() { m.connector.run(ctx) })
	}
	var err error
	select {
	case <-ctx.Done():
	case <-m.serf.ShutdownCh():
		err = errors.New("gossip stopped by itself")
	}
	cancel()
	return errors.Join(err, m.Close())
}

// Close releases what Open took, without a goodbye. Run calls it; it is for those
// who do not come to Run. It may be called again.
func (m *Membership) Close() error {
	if m.serf == nil {
		return nil
	}
	err := m.serf.Shutdown()
	if m.server != nil {
		m.server.close()
	}
	m.tasks.Wait()
	m.bookMu.Lock()
	defer m.bookMu.Unlock()
	return errors.Join(err, m.book.save())
}

// Leave says goodbye: the others see this boot as left, not failed. Run is to be
// stopped after it. It takes 1 to 10 s; when ctx ends earlier, it goes on by
// itself.
func (m *Membership) Leave(ctx context.Context) error {
	if m.serf == nil {
		return errNotOpen
	}
	m.mu.Lock()
	m.leaving = true
	m.mu.Unlock()
	done := make(chan error, 1)
	m.tasks.Go(func() { done <- m.serf.Leave() })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("leave: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("leave: %w", ctx.Err())
	}
}

// SetTags replaces the tags that the other nodes see of this one. It returns at
// once; the latest tags are published, at most once a second. Tags that do not
// fit into Serf's 512 bytes are an error, and the old ones stay.
func (m *Membership) SetTags(tags map[string]string) error {
	if err := checkMemberTags(tags); err != nil {
		m.log.WithError(err).Error("tags not published")
		return fmt.Errorf("set tags: %w", err)
	}
	m.mu.Lock()
	m.tags = maps.Clone(tags)
	m.mu.Unlock()
	wakeUp(m.tagsDue)
	return nil
}

// publish is alone in calling Serf's SetTags, which blocks for as long as its
// broadcast takes and is not safe for concurrent use. What is published is told
// once more a little later: a node that was joining just then may have missed it,
// and would learn of it only from the next exchange of all states, half a minute on.
func (m *Membership) publish(ctx context.Context) {
	published := encodeMemberTags(m.cfg.Tags, m.cfg.Started, m.cfg.PeerPort, m.wire)
	repeat := time.NewTimer(tagsRepeat)
	defer repeat.Stop()
	for {
		again := false
		select {
		case <-ctx.Done():
			return
		case <-m.tagsDue:
		case <-repeat.C:
			again = true
		}
		m.mu.Lock()
		tags, leaving := encodeMemberTags(m.tags, m.cfg.Started, m.cfg.PeerPort, m.wire), m.leaving
		m.mu.Unlock()
		if leaving || maps.Equal(tags, published) && !again {
			continue
		}
		if !again {
			repeat.Reset(tagsRepeat + rand.N(tagsRepeat))
		}
		published = tags
		if err := m.serf.SetTags(filled(tags, rand.IntN(maxFill))); err != nil {
			m.log.WithError(err).Debug("new tags will spread with the next exchange of states")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
