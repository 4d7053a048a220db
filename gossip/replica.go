package gossip

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
)

// The protocols that a Replica serves on its host.
const (
	SyncProtocol protocol.ID = "/orch/sync/1"
	PushProtocol protocol.ID = "/orch/push/1"
)

// ReplicaConfig is what a Replica is made of. Host, Boot and Path are required.
type ReplicaConfig struct {
	Host host.Host // the node's; not closed
	Boot string    // random, of this start of the process
	Path string    // of the data file
	// AsideDir gets the files of records set aside; default: "aside" beside Path.
	AsideDir string
	Rules    Rules
	// Members lists the cluster's members by their records, this node or not:
	// tombstones wait for them. nil: none.
	Members func() []Peer
	// Alive lists the peers to talk to, this node or not. nil: all connected.
	Alive func() []peer.ID
	// Vouch says whether the next start on this disk will find what is on it: until
	// then this node's is none of the disks that make a write safe. nil: it will.
	Vouch func() bool
	// OnChange gets what changed here, in order, outside the lock. dropped keys
	// went before changed came. It must not block; it may call the Replica.
	OnChange func(changed []Record, dropped []string)
	// OnAside is told of a file of records set aside. It must not block.
	OnAside func(a Aside)
	// OnSync is told of each sync that this node began, how long it took, and why it
	// failed if it did. It must not block. nil: nobody.
	OnSync func(took time.Duration, err error)

	// MaxRecords and MaxBytes bound the table; default DefaultMaxRecords and
	// DefaultMaxBytes.
	MaxRecords, MaxBytes int

	Retention time.Duration    // of tombstones; default DefaultRetention
	SyncEvery time.Duration    // between two syncs with a random peer; default 2 s
	Few       int              // up to so many live peers, all get every push; default 64
	Now       func() time.Time // default time.Now
	Log       logrus.FieldLogger
}

// Replica is a node's copy of the table, kept equal to the others': the table,
// its file, and two protocols on the node's libp2p host.
type Replica struct {
	cfg   ReplicaConfig
	self  peer.ID
	store *Store
	log   logrus.FieldLogger

	mu     sync.Mutex // guards the table, and the order of commits and events
	table  *Table
	saved  Meta      // as last handed to the store
	heard  time.Time // when what was heard of others was last sent
	events []replicaEvent
	busy   bool          // somebody delivers events
	untold int           // bytes in events
	told   chan struct{} // closed when untold is little again; nil: nobody waits
	full   time.Time     // since when records are refused for want of room; zero: they are not

	peersMu sync.Mutex // guards what follows
	peers   map[peer.ID]*replicaPeer
	ever    bool            // a sync has completed in this boot
	run     context.Context // of Run; nil before it
	closing bool
	tasks   sync.WaitGroup // goroutines and stream handlers while Run runs

	inSyncs, inPushes *Places       // streams that others open
	refusals          *Places       // and those that get no place there, while they are told
	merges            chan struct{} // held while a frame is decoded and merged
}

// replicaPeer is what the edge knows of one peer.
type replicaPeer struct {
	life     int           // rises when the last connection closes, and when it is distrusted
	synced   string        // the boot with which a sync completed in this life, or ""
	behind   bool          // something did not get there: sync soon
	greeting bool          // its first sync is being tried
	turn     chan struct{} // held by the one that syncs with it
	pushes   chan struct{} // held by each that pushes to it
	pushing  int           // that do, or wait for it
	out      outbox
}

type replicaEvent struct {
	changed []Record
	dropped []string
	aside   *Aside
}

// NewReplica opens the data file and reads the table. Nothing is sent or written
// before Run; whoever does not call Run calls Close.
func NewReplica(cfg ReplicaConfig) (*Replica, error) {
	if cfg.Host == nil || cfg.Boot == "" || cfg.Path == "" {
		return nil, errors.New("new replica: host, boot and path are required")
	}
	cfg.defaults()
	store, recs, meta, err := OpenStore(cfg.Path, cfg.Log)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		cfg: cfg, self: cfg.Host.ID(), store: store, log: cfg.Log,
		table:    NewTable(cfg.Rules),
		saved:    meta,
		peers:    make(map[peer.ID]*replicaPeer),
		inSyncs:  NewPlaces(syncsOfAll, syncsOfOne),
		inPushes: NewPlaces(pushesOfAll, pushesOfOne),
		refusals: NewPlaces(64, 4),
		merges:   make(chan struct{}, mergesAtOnce),
	}
	r.table.Retention, r.table.MaxRecords, r.table.MaxBytes = cfg.Retention, cfg.MaxRecords, cfg.MaxBytes
	r.table.SetMeta(meta)
	for _, no := range r.table.Load(cfg.Now(), recs...).Refused {
		r.log.WithField("key", no.Key).WithError(no.Err).Warn("a record on disk has no place in the table")
	}
	return r, nil
}

func (c *ReplicaConfig) defaults() {
	if c.AsideDir == "" {
		c.AsideDir = filepath.Join(filepath.Dir(c.Path), "aside")
	}
	if c.Members == nil {
		c.Members = func() []Peer { return nil }
	}
	if c.Alive == nil {
		c.Alive = func() []peer.ID { return c.Host.Network().Peers() }
	}
	if c.Vouch == nil {
		c.Vouch = func() bool { return true }
	}
	if c.Retention <= 0 {
		c.Retention = DefaultRetention
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = DefaultMaxRecords
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.SyncEvery <= 0 {
		c.SyncEvery = 2 * time.Second
	}
	if c.Few <= 0 {
		c.Few = 64
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = logrus.StandardLogger()
	}
}

// Close gives the data file back. It is for a Replica whose Run is never called.
func (r *Replica) Close() error { return r.store.Close() }

// Run serves the protocols and keeps the table equal to the others' until ctx
// ends; then everything is on disk and the file is closed. An error of the disk
// ends it.
func (r *Replica) Run(ctx context.Context) error {
	defer r.store.Close()
	g, ctx := errgroup.WithContext(ctx)
	r.peersMu.Lock()
	r.run = ctx
	r.peersMu.Unlock()

	disk, stopDisk := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDisk()
	g.Go(func() error { return r.store.Run(disk) })

	note := &network.NotifyBundle{ConnectedF: r.connected, DisconnectedF: r.disconnected}
	r.cfg.Host.SetStreamHandler(SyncProtocol, r.handler(r.inSyncs, r.serveSync))
	r.cfg.Host.SetStreamHandler(PushProtocol, r.handler(r.inPushes, r.servePush))
	r.cfg.Host.Network().Notify(note)
	for _, p := range r.cfg.Host.Network().Peers() {
		r.greet(p)
	}
	r.spawn(r.keepSyncing)
	r.spawn(r.keepExpiring)
	g.Go(func() error {
		<-ctx.Done()
		r.cfg.Host.Network().StopNotify(note)
		r.cfg.Host.RemoveStreamHandler(SyncProtocol)
		r.cfg.Host.RemoveStreamHandler(PushProtocol)
		r.peersMu.Lock()
		r.closing = true
		r.peersMu.Unlock()
		r.tasks.Wait()
		r.saveMeta(0)
		stopDisk()
		return nil
	})
	return g.Wait()
}

// spawn runs f in a goroutine that Run waits for. It says no when Run does not
// run.
func (r *Replica) spawn(f func(ctx context.Context)) bool {
	r.peersMu.Lock()
	defer r.peersMu.Unlock()
	if r.run == nil || r.closing {
		return false
	}
	ctx := r.run
	r.tasks.Go(func() { f(ctx) })
	return true
}

// peer returns what is known of id, under the lock of the caller.
func (r *Replica) peer(id peer.ID) *replicaPeer {
	p := r.peers[id]
	if p == nil {
		p = &replicaPeer{turn: make(chan struct{}, 1), pushes: make(chan struct{}, pushesToOne)}
		r.peers[id] = p
	}
	return p
}

// Get returns the record under key, tombstones included.
func (r *Replica) Get(key string) (Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.Get(key)
}

// Range calls f with every record whose key has the prefix as the table was when
// Range was called, tombstones included, in key order, until f returns false. f
// may call the Replica.
func (r *Replica) Range(prefix string, f func(Record) bool) {
	r.mu.Lock()
	s := r.table.Snapshot()
	r.mu.Unlock()
	s.Range(prefix, f)
}

// Len is the number of records, tombstones included.
func (r *Replica) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.Len()
}

// Full is since when this node has refused records for want of room, its own or
// others'; zero if it has not, or has room again.
func (r *Replica) Full() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full.IsZero() && r.table.roomy() {
		r.full = time.Time{}
	}
	return r.full
}

// noteFull remembers that a record was refused for want of room, with r.mu held.
func (r *Replica) noteFull() {
	if !r.full.IsZero() && !r.table.roomy() {
		return
	}
	r.full = r.cfg.Now()
	r.log.WithFields(map[string]any{"records": r.table.Len(), "bytes": r.table.size}).
		Error("the table is full: new records are not taken")
}

// Digest is equal on two nodes that know the same.
func (r *Replica) Digest() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table.bury(r.cfg.Now())
	return r.table.Digest()
}

// Meta is what this node remembers of tombstones and absences.
func (r *Replica) Meta() Meta {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.Meta()
}

// Value returns what the owner keeps under name beside the table on this node's
// disk, or nil.
func (r *Replica) Value(name string) []byte { return r.store.Value(name) }

// SetValue keeps v under name, on disk when it returns; nil deletes it.
func (r *Replica) SetValue(ctx context.Context, name string, v []byte) error {
	return r.store.Commit(Batch{Values: map[string][]byte{name: slices.Clone(v)}})(ctx)
}

// keepExpiring drops tombstones that are due.
func (r *Replica) keepExpiring(ctx context.Context) {
	tick := time.NewTicker(min(time.Minute, max(r.cfg.Retention/10, 10*time.Millisecond)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.expire()
		r.saveMeta(min(time.Minute, r.cfg.Retention/10))
	}
}

func (r *Replica) expire() {
	members := r.members()
	defer r.deliver()
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := r.table.Expire(r.cfg.Now(), members)
	if len(gone) == 0 {
		return
	}
	m := r.table.Meta()
	r.saved = m
	r.tell(replicaEvent{dropped: gone})
	r.store.Commit(Batch{Delete: gone, Meta: &m})
	r.log.WithField("records", len(gone)).Debug("dropped tombstones that every member has seen")
}

// members is the configured list without this node.
func (r *Replica) members() []Peer {
	return slices.DeleteFunc(slices.Clone(r.cfg.Members()), func(p Peer) bool { return p.ID == r.self.String() })
}

// saveMeta writes what is remembered of syncs if that is older than age: it
// changes with every sync, but matters only by the hour.
func (r *Replica) saveMeta(age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.table.Meta()
	if m.LastSync-r.saved.LastSync <= age.Milliseconds() && m.Floor == r.saved.Floor {
		return
	}
	r.saved = m
	r.store.Commit(Batch{Meta: &m})
}
