package gossip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// What can be wrong with a data file.
var (
	// ErrInUse says that another process has the file open.
	ErrInUse = errors.New("data directory is in use by another orch agent")
	// ErrCorrupt says that the file cannot be read as a table.
	ErrCorrupt = errors.New("data file is damaged")
	// ErrClosed says that a write came after the store was closed.
	ErrClosed = errors.New("store is closed")
)

const (
	storeFormat = "orch-table/1"
	// lazyCommit is the longest a change waits for the disk when nobody waits for it.
	lazyCommit = 100 * time.Millisecond
	lockWait   = time.Second
)

var (
	bucketMeta       = []byte("meta")
	bucketRecords    = []byte("records")
	bucketValues     = []byte("values")
	bucketQuarantine = []byte("quarantine")
	keyFormat        = []byte("format")
	keyMeta          = []byte("meta")
)

// Store is the file of a table. Changes are gathered and committed together by
// one goroutine: at once when somebody waits for the disk, within 100 ms
// otherwise. A commit is all or nothing, also in a power cut.
type Store struct {
	path string
	log  logrus.FieldLogger
	db   *bolt.DB
	file *os.File
	kick chan struct{} // somebody waits for the pending batch
	work chan struct{} // there is a pending batch

	mu      sync.Mutex  // guards what follows
	pending *storeBatch // not yet begun
	writing *storeBatch // being committed
	values  map[string][]byte
	failed  error // the disk's answer that ended Run, or ErrClosed
}

// Batch is a change of the file. Deletes come before puts.
type Batch struct {
	Delete []string
	Put    []Record
	Meta   *Meta             // nil: unchanged
	Values map[string][]byte // nil values are deleted
}

// storeBatch is what will be committed together.
type storeBatch struct {
	records map[string]*Record // nil: delete
	size    int                // of all records that were put, in bytes
	meta    *Meta
	values  map[string][]byte
	done    chan struct{} // closed when it is on disk, or err says why not
	err     error
}

// OpenStore opens or creates the file at path and reads it. Records that cannot
// be decoded are moved to a bucket of their own inside the file and logged: one
// bad sector must not keep a node from starting, and nothing is thrown away.
func OpenStore(path string, log logrus.FieldLogger) (*Store, []Record, Meta, error) {
	s := &Store{path: path, log: log, kick: make(chan struct{}, 1), work: make(chan struct{}, 1), values: make(map[string][]byte)}
	var recs []Record
	var meta Meta
	err := s.guard(func() error {
		if err := s.open(); err != nil {
			return err
		}
		var err error
		recs, meta, err = s.load()
		return err
	})
	if err != nil {
		s.shut()
		return nil, nil, Meta{}, s.explain(err)
	}
	return s, recs, meta, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout:      lockWait,
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			s.file = f // to be closed if bolt panics
			return f, err
		},
	})
	s.db = db
	if err != nil {
		return err
	}
	return s.checkWhole()
}

// checkWhole fails if the file is shorter than it says: bolt would find out only when
// it comes to what is missing.
func (s *Store) checkWhole() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	return s.db.View(func(tx *bolt.Tx) error {
		if info.Size() < tx.Size() {
			return ErrCorrupt
		}
		return nil
	})
}

// guard turns a panic about the file (bolt panics on what it cannot make sense
// of, and a file that is shorter than it says faults) into ErrCorrupt. What the
// panic said helps only who knows bolt.
func (s *Store) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s.log.WithFields(logrus.Fields{"file": s.path, "panic": p}).Debugf("reading the table: %s", debug.Stack())
			err = ErrCorrupt
		}
	}()
	return f()
}

// explain makes an error of the file one that says what to do.
func (s *Store) explain(err error) error {
	var pe *fs.PathError
	var no syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w (%s is locked): stop it or choose another --data-dir", ErrInUse, s.path)
	case errors.As(err, &pe) || errors.As(err, &no):
		return fmt.Errorf("open table %s: %w", s.path, err)
	case errors.Is(err, errFormat):
		return err
	}
	if !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return fmt.Errorf("open table %s: %w; move it away and start again: the table comes back from the other nodes", s.path, err)
}

// shut closes what is open, also after a panic inside bolt.
func (s *Store) shut() {
	_ = s.guard(func() error {
		if s.db != nil {
			return s.db.Close()
		}
		return nil
	})
	if s.file != nil {
		_ = s.file.Close()
	}
}

// Value returns what the owner keeps under name, or nil.
func (s *Store) Value(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values[name])
}

// Commit hands b over to be written, after everything handed over before. It does
// not wait: the function that it returns does, and makes the write come at once.
// What b refers to must not change any more.
func (s *Store) Commit(b Batch) (wait func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		err := s.failed
		return func(context.Context) error { return err }
	}
	if s.pending == nil {
		s.pending = &storeBatch{records: make(map[string]*Record), values: make(map[string][]byte), done: make(chan struct{})}
		poke(s.work)
	}
	p := s.pending
	for _, k := range b.Delete {
		p.records[k] = nil
	}
	for _, r := range b.Put {
		p.records[r.Key] = &r
		p.size += r.size()
	}
	if b.Meta != nil {
		p.meta = b.Meta
	}
	maps.Copy(p.values, b.Values)
	for k, v := range b.Values {
		s.values[k] = slices.Clone(v)
	}
	return func(ctx context.Context) error { return s.wait(ctx, p) }
}

// Backlog is how much was put and is not begun to be written, in bytes.
func (s *Store) Backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return 0
	}
	return s.pending.size
}

// Flush waits until everything handed over is on disk.
func (s *Store) Flush(ctx context.Context) error {
	s.mu.Lock()
	b := s.pending
	if b == nil {
		b = s.writing
	}
	err := s.failed
	s.mu.Unlock()
	if err != nil || b == nil {
		return err
	}
	return s.wait(ctx, b)
}

func (s *Store) wait(ctx context.Context, b *storeBatch) error {
	select {
	case <-b.done:
		return b.err
	default:
	}
	poke(s.kick)
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("write table: %w", context.Cause(ctx))
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run commits what is handed over until ctx ends, and then what is left. An error
// of the disk ends it, and is every waiter's answer from then on: an agent that
// cannot write must not promise anything.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-s.work:
		case <-ctx.Done():
			return s.commitPending()
		}
		lazy := time.NewTimer(lazyCommit)
		select {
		case <-s.kick:
		case <-lazy.C:
		case <-ctx.Done():
		}
		lazy.Stop()
		if err := s.commitPending(); err != nil {
			return err
		}
	}
}

func (s *Store) commitPending() error {
	s.mu.Lock()
	b := s.pending
	s.pending, s.writing = nil, b
	failed := s.failed
	s.mu.Unlock()
	if b == nil {
		return nil
	}
	if failed != nil {
		b.err = failed
	} else if err := s.guard(func() error { return s.write(b) }); err != nil {
		b.err = fmt.Errorf("write table %s: %w", s.path, err)
	}
	s.mu.Lock()
	s.writing = nil
	late := s.pending
	if b.err != nil && s.failed == nil {
		s.failed = b.err
	}
	if s.failed != nil {
		s.pending = nil
	}
	s.mu.Unlock()
	close(b.done)
	if b.err != nil && late != nil {
		late.err = b.err
		close(late.done)
	}
	return b.err
}

// Close ends the use of the file. What Run has not written is lost, and whoever
// waits for it is told.
func (s *Store) Close() error {
	s.mu.Lock()
	late := s.pending
	s.pending = nil
	first := !errors.Is(s.failed, ErrClosed)
	s.failed = ErrClosed
	s.mu.Unlock()
	if late != nil {
		late.err = ErrClosed
		close(late.done)
	}
	if first {
		s.shut()
	}
	return nil
}
