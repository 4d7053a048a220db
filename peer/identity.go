package peer

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/exitae337/orchestergo/api"
)

// ErrDirInUse is returned by OpenDir for a directory that a live agent holds.
var ErrDirInUse = errors.New("data directory in use")

// JoinPrefix is what every join token begins with.
const JoinPrefix = "orch-join-1-"

// Dir is a node's data directory: its key, the cluster's secret, the table and
// what its tasks leave. Exactly one agent holds it at a time.
type Dir struct {
	Path string
	Key  crypto.PrivKey
	ID   api.NodeID
	lock *os.File
}

// OpenDir opens a data directory, or makes one with a new key, and locks it
// until Close.
func OpenDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w (choose another with --data-dir)", err)
	}
	d := &Dir{Path: path}
	if d.lock, err = os.OpenFile(d.LockPath(), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("open data directory: %w (choose another with --data-dir)", err)
	}
	if err := lockFile(d.lock); err != nil {
		_ = d.lock.Close()
		return nil, fmt.Errorf("%w: another orch agent runs in %s: stop it or choose another with --data-dir", ErrDirInUse, path)
	}
	if err := d.loadKey(); err != nil {
		_ = d.lock.Close()
		return nil, err
	}
	return d, nil
}

// lockFile tries for a moment: somebody may be looking whether the lock is free.
func lockFile(f *os.File) (err error) {
	for range 5 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return nil
		}
		<-time.After(20 * time.Millisecond)
	}
	return err
}

// Close lets the next agent have the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// LockPath is the file that is locked for as long as an agent lives.
func (d *Dir) LockPath() string { return filepath.Join(d.Path, "lock") }

func (d *Dir) loadKey() error {
	path := filepath.Join(d.Path, "key")
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if d.Key, _, err = crypto.GenerateEd25519Key(rand.Reader); err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		if b, err = crypto.MarshalPrivateKey(d.Key); err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		if err := writeFile(path, b); err != nil {
			return fmt.Errorf("store the key: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read the key: %w", err)
	default:
		if d.Key, err = crypto.UnmarshalPrivateKey(b); err != nil {
			return fmt.Errorf("read the key %s: %w (restore it; or move the whole data directory away to start as another node)", path, err)
		}
	}
	id, err := peer.IDFromPrivateKey(d.Key)
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	d.ID = api.NodeID(id.String())
	return nil
}

// Secret reads the cluster's secret; ok is false while the directory belongs to
// no cluster.
func (d *Dir) Secret() (s Secret, ok bool, err error) {
	return ReadSecret(d.Path)
}

// ReadSecret reads the secret in the data directory dir without locking it.
func ReadSecret(dir string) (s Secret, ok bool, err error) {
	path := filepath.Join(dir, "secret")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("read the cluster's secret: %w", err)
	}
	if s, err = ParseToken(strings.TrimSpace(string(b))); err != nil {
		return s, false, fmt.Errorf("read the cluster's secret from %s: %w", path, err)
	}
	return s, true, nil
}

// SetSecret makes the directory belong to the cluster of s.
func (d *Dir) SetSecret(s Secret) error {
	if err := writeFile(filepath.Join(d.Path, "secret"), []byte(s.Token()+"\n")); err != nil {
		return fmt.Errorf("store the cluster's secret: %w", err)
	}
	return nil
}

// Forget makes the directory that of a node without a cluster: only its key and
// what was set aside stay.
func (d *Dir) Forget() error {
	for _, name := range []string{"secret", "table.db", "peers.json", "tasks"} {
		if err := os.RemoveAll(filepath.Join(d.Path, name)); err != nil {
			return fmt.Errorf("forget the cluster: %w", err)
		}
	}
	return nil
}

// Blank says whether no node ever worked here since the directory was made, or
// made to forget: there is no table, and nobody to call.
func (d *Dir) Blank() bool {
	for _, name := range []string{"table.db", "peers.json"} {
		if _, err := os.Lstat(filepath.Join(d.Path, name)); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// writeFile writes all or nothing, for the owner's eyes only.
func writeFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already if all went well
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // else a power cut may undo the renaming
}

// Secret is what all nodes of a cluster share. All keys come from it.
type Secret [32]byte

// NewSecret makes the secret of a new cluster.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// ParseToken reads a join token, and tells a mistyped one by its check sum.
func ParseToken(token string) (Secret, error) {
	var s Secret
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, JoinPrefix))
	if !strings.HasPrefix(token, JoinPrefix) || err != nil || len(b) != len(s)+4 {
		return s, errors.New("this is no join token (they begin with " + JoinPrefix + "; orch token prints it on a node of the cluster)")
	}
	copy(s[:], b)
	if sum := sha256.Sum256(s[:]); string(sum[:4]) != string(b[len(s):]) {
		return s, errors.New("the join token is mistyped (its check sum is wrong)")
	}
	return s, nil
}

// Token is the text that lets a machine into the cluster.
func (s Secret) Token() string {
	sum := sha256.Sum256(s[:])
	return JoinPrefix + base64.RawURLEncoding.EncodeToString(append(s[:], sum[:4]...))
}

// derive makes a key for one purpose; nothing leads back from it to the secret.
func (s Secret) derive(purpose string, n int) []byte {
	key, err := hkdf.Key(sha256.New, s[:], nil, "orch "+purpose, n)
	if err != nil {
		panic(fmt.Sprintf("derive the %s key: %v", purpose, err)) // only for absurd n
	}
	return key
}

// GossipKey encrypts Serf's traffic.
func (s Secret) GossipKey() []byte { return s.derive("gossip", 32) }

// NetworkKey is the key of the libp2p private network.
func (s Secret) NetworkKey() []byte { return s.derive("network", 32) }

// APIToken is what a request from beyond loopback must bear.
func (s Secret) APIToken() string { return "orch-api-1-" + hex.EncodeToString(s.derive("api", 24)) }

// ClusterID names the cluster; it is no secret.
func (s Secret) ClusterID() string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.derive("cluster id", 5)))
}

// newBoot makes an id for one run of the agent.
func newBoot() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
