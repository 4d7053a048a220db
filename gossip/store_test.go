package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	bolt "go.etcd.io/bbolt"

	"github.com/exitae337/orchestergo/gossip"
)

func storeLog(t testing.TB) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(t.Output())
	log.SetLevel(logrus.DebugLevel)
	return log
}

func storeOpen(t testing.TB, path string) (*gossip.Store, []gossip.Record, gossip.Meta) {
	t.Helper()
	s, recs, meta, err := gossip.OpenStore(path, storeLog(t))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s, recs, meta
}

// storeRun runs s until the function returned is called, which gives Run's error.
func storeRun(t testing.TB, s *gossip.Store) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { stop() })
	return stop
}

func TestStoreKeepsWhatWasCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "table.db")
	s, recs, _ := storeOpen(t, path)
	if len(recs) != 0 {
		t.Fatalf("a new file has %v", recs)
	}
	stop := storeRun(t, s)
	a, b, c := tblJob("a", 1, 1, "n"), tblJob("b", 1, 1, "n"), tblRemoved(tblJob("c", 1, 1, "n"), tblStart, "n")
	meta := gossip.Meta{Floor: 5, LastSync: 6, Heard: map[string]int64{"x": 7}}
	s.Commit(gossip.Batch{Put: []gossip.Record{a, b}})
	wait := s.Commit(gossip.Batch{Delete: []string{"j/a"}, Put: []gossip.Record{c}, Meta: &meta, Values: map[string][]byte{"book": []byte("1"), "gone": nil}})
	if err := wait(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	s.Commit(gossip.Batch{Put: []gossip.Record{a}}) // nobody waits: the end of Run writes it
	if err := stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	s.Close()
	if err := s.Commit(gossip.Batch{Put: []gossip.Record{a}})(t.Context()); !errors.Is(err, gossip.ErrClosed) {
		t.Errorf("commit after Close: %v, want ErrClosed", err)
	}
	s, recs, got := storeOpen(t, path)
	if want := []gossip.Record{a, b, c}; !reflect.DeepEqual(recs, want) {
		t.Errorf("records %v, want %v", recs, want)
	}
	if !reflect.DeepEqual(got, meta) {
		t.Errorf("meta %v, want %v", got, meta)
	}
	if v := s.Value("book"); string(v) != "1" {
		t.Errorf("value %q, want 1", v)
	}
}

func TestStoreCommitsLazilyByItself(t *testing.T) {
	s, _, _ := storeOpen(t, filepath.Join(t.TempDir(), "table.db"))
	storeRun(t, s)
	s.Commit(gossip.Batch{Put: []gossip.Record{tblJob("a", 1, 1, "n")}})
	for deadline := time.Now().Add(20 * time.Second); s.Pending(); {
		if time.Now().After(deadline) {
			t.Fatal("nothing was written though nobody waits")
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestStoreInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.db")
	storeOpen(t, path)
	start := time.Now()
	_, _, _, err := gossip.OpenStore(path, storeLog(t))
	if !errors.Is(err, gossip.ErrInUse) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("second open: %v, want ErrInUse with the path and what to do", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v, want about a second", d)
	}
}

// TestStoreCutWhereNothingIs cuts off a part of the file that has nothing in it any
// more: what is left can be read, and is still not the file that was written.
func TestStoreCutWhereNothingIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.db")
	s, _, _ := storeOpen(t, path)
	storeRun(t, s)
	gone := gossip.Batch{}
	for _, r := range tblMany(2000) {
		gone.Delete = append(gone.Delete, r.Key)
	}
	for _, b := range []gossip.Batch{{Put: tblMany(2000)}, gone, {Put: tblMany(1)}, {Put: tblMany(2)}} {
		if err := s.Commit(b)(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := gossip.OpenStore(path, storeLog(t)); !errors.Is(err, gossip.ErrCorrupt) {
		t.Errorf("open: %v, want ErrCorrupt", err)
	}
}

func TestStoreDamaged(t *testing.T) {
	whole := func(t *testing.T, path string) []byte {
		s, _, _ := storeOpen(t, path)
		storeRun(t, s)
		if err := s.Commit(gossip.Batch{Put: tblMany(2000)})(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, damage := range map[string]func([]byte) []byte{
		"not a table": func([]byte) []byte { return []byte(strings.Repeat("hello\n", 5000)) },
		"short":       func(b []byte) []byte { return b[:100] },
		"truncated":   func(b []byte) []byte { return b[:3*os.Getpagesize()] },
		"cut by half": func(b []byte) []byte { return b[:len(b)/2] },
		"a page garbled": func(b []byte) []byte {
			for i := 2 * os.Getpagesize(); i < len(b); i++ {
				b[i] = 0xa5
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "table.db")
			damaged := damage(whole(t, path))
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, _, err := gossip.OpenStore(path, storeLog(t))
			if !errors.Is(err, gossip.ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
				t.Fatalf("open: %v, want ErrCorrupt with the path and what to do", err)
			}
			for _, inside := range []string{"runtime error", "nil pointer", "panic", "assertion", "index out of", "0x"} {
				if strings.Contains(err.Error(), inside) {
					t.Errorf("open: %v, which tells the user of %q", err, inside)
				}
			}
			if err := os.Rename(path, path+".bad"); err != nil {
				t.Fatal(err)
			}
			storeOpen(t, path) // nothing holds it any more
		})
	}
}

func TestStoreNotAllowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := gossip.OpenStore(filepath.Join(path, "table.db"), storeLog(t))
	if err == nil || errors.Is(err, gossip.ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("open below a file: %v, want an error with the path that is not ErrCorrupt", err)
	}
}

func TestStoreOtherFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.db")
	s, _, _ := storeOpen(t, path)
	s.Close()
	storeEdit(t, path, "meta", "format", []byte("orch-table/9"))
	_, _, _, err := gossip.OpenStore(path, storeLog(t))
	if err == nil || errors.Is(err, gossip.ErrCorrupt) || !strings.Contains(err.Error(), "orch-table/9") {
		t.Errorf("open: %v, want an error about the format, not damage", err)
	}
}

func storeEdit(t *testing.T, path, bucket, key string, value []byte) (old []byte) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		old = append(old, tx.Bucket([]byte(bucket)).Get([]byte(key))...)
		if value == nil {
			return nil
		}
		return tx.Bucket([]byte(bucket)).Put([]byte(key), value)
	})
	if err != nil {
		t.Fatal(err)
	}
	return old
}

func TestStoreQuarantinesWhatItCannotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.db")
	s, _, _ := storeOpen(t, path)
	storeRun(t, s)
	if err := s.Commit(gossip.Batch{Put: []gossip.Record{tblJob("a", 1, 1, "n"), tblJob("b", 1, 1, "n")}})(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	bad := storeEdit(t, path, "records", "j/b", nil)
	bad[len(bad)-3] ^= 1
	storeEdit(t, path, "records", "j/b", bad)
	s, recs, _ := storeOpen(t, path)
	if len(recs) != 1 || recs[0].Key != "j/a" {
		t.Errorf("records %v, want j/a alone", recs)
	}
	s.Close()
	if got := storeEdit(t, path, "quarantine", "j/b", nil); !reflect.DeepEqual(got, bad) {
		t.Errorf("quarantine has %q, want %q", got, bad)
	}
	if got := storeEdit(t, path, "records", "j/b", nil); got != nil {
		t.Errorf("the records still have %q", got)
	}
}

func TestStoreDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.db")
	s, _, _ := storeOpen(t, path)
	s.LimitSize(1 << 16)
	stop := storeRun(t, s)
	big := tblJob("big", 1, 1, "n")
	big.Value = make([]byte, gossip.MaxValue)
	err := s.Commit(gossip.Batch{Put: []gossip.Record{big}})(t.Context())
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("commit to a full disk: %v, want an error with the path", err)
	}
	if err := s.Commit(gossip.Batch{Put: []gossip.Record{tblJob("a", 1, 1, "n")}})(t.Context()); err == nil {
		t.Error("a later commit succeeds")
	}
	if err := s.Flush(t.Context()); err == nil {
		t.Error("a later flush succeeds")
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("run: %v, want an error with the path", err)
	}
}

func TestAsideFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	if got, err := gossip.ListAside(dir); err != nil || len(got) != 0 {
		t.Errorf("no directory: %v, %v", got, err)
	}
	recs := []gossip.Record{tblJob("a", 1, 1, "n")}
	for range 2 { // at one and the same time
		if _, err := gossip.WriteAside(dir, gossip.Aside{Time: tblStart, Peer: "p", Records: recs}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := gossip.ListAside(dir)
	if err != nil || len(got) != 2 {
		t.Fatalf("list: %v, %v, want two files", got, err)
	}
	for _, a := range got {
		if !a.Time.Equal(tblStart) || a.Peer != "p" || !reflect.DeepEqual(a.Records, recs) {
			t.Errorf("read %+v", a)
		}
	}

	if err := errors.Join(got[1].Settle("j/a"), os.WriteFile(got[0].File, []byte(`{"records": [`), 0o600)); err != nil {
		t.Fatal(err)
	}
	got, err = gossip.ListAside(dir)
	if err != nil || len(got) != 2 {
		t.Fatalf("list: %v, %v, want two files", got, err)
	}
	settled, damaged := got[0], got[1] // which was written just now
	if !reflect.DeepEqual(settled.Settled, []string{"j/a"}) || !reflect.DeepEqual(settled.Records, recs) || settled.Damage != nil {
		t.Errorf("settled: %+v", settled)
	}
	if damaged.Damage == nil || !strings.Contains(damaged.Damage.Error(), damaged.File) || damaged.Records != nil || damaged.Time.IsZero() {
		t.Errorf("damaged: %+v", damaged)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "new-*")); err != nil || len(left) != 0 {
		t.Errorf("files half written: %v, %v", left, err)
	}
}

func FuzzDiskRecord(f *testing.F) {
	good, err := gossip.EncodeRecord(tblJob("a", 1, 1, "n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("j/a"), good)
	f.Add([]byte("j/b"), good)
	f.Add([]byte("j/a"), good[:3])
	f.Add([]byte(""), []byte("\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, key, b []byte) {
		r, err := gossip.DecodeRecord(key, b)
		if err != nil {
			return
		}
		if r.Key != string(key) || r.Check() != nil {
			t.Fatalf("took %v under %q", r, key)
		}
		again, err := gossip.EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if r2, err := gossip.DecodeRecord(key, again); err != nil || fmt.Sprint(r2) != fmt.Sprint(r) {
			t.Fatalf("%v becomes %v, %v", r, r2, err)
		}
	})
}

func BenchmarkCommit100Waiters(b *testing.B) {
	s, _, _ := storeOpen(b, filepath.Join(b.TempDir(), "table.db"))
	storeRun(b, s)
	epoch := uint64(0)
	for b.Loop() {
		epoch++
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if err := s.Commit(gossip.Batch{Put: []gossip.Record{tblSlot("web", 7, i, epoch, "n1")}})(b.Context()); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
}
