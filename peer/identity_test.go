package peer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/peer"
)

const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func drawSecret(t *rapid.T) (s peer.Secret) {
	copy(s[:], rapid.SliceOfN(rapid.Byte(), len(s), len(s)).Draw(t, "secret"))
	return s
}

func TestTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSecret(t)
		token := s.Token()
		if got, err := peer.ParseToken(token); err != nil || got != s {
			t.Fatalf("%s became %x, %v, want %x", token, got, err, s)
		}
		// One character typed wrong, left out, or twice.
		const prefix = len("orch-join-1-")
		at := rapid.IntRange(prefix, len(token)-1).Draw(t, "at")
		other := rapid.SampledFrom([]byte(tokenAlphabet)).Filter(func(b byte) bool { return b != token[at] }).Draw(t, "other")
		for what, typo := range map[string]string{
			"wrong":     token[:at] + string(other) + token[at+1:],
			"left out":  token[:at] + token[at+1:],
			"twice":     token[:at] + string(token[at]) + token[at:],
			"truncated": token[:at],
		} {
			if _, err := peer.ParseToken(typo); err == nil {
				t.Fatalf("a character %s goes undetected: %s for %s", what, typo, token)
			} else if strings.Contains(err.Error(), token[prefix:prefix+8]) {
				t.Fatalf("the error tells of the secret: %v", err)
			}
		}
		if i := rapid.IntRange(prefix, len(token)-2).Draw(t, "swapped"); token[i] != token[i+1] {
			swapped := token[:i] + string([]byte{token[i+1], token[i]}) + token[i+2:]
			if _, err := peer.ParseToken(swapped); err == nil {
				t.Fatalf("two characters swapped go undetected: %s for %s", swapped, token)
			}
		}
	})
}

func TestHostileTokens(t *testing.T) {
	good := peer.NewSecret().Token()
	for _, token := range []string{"", "x", "orch-join-1-", "orch-join-2-" + good[12:], "ORCH-JOIN-1-" + good[12:], good + "=", good + "A", good[12:], strings.Repeat("orch-join-1-", 2) + good[12:], "orch-join-1-" + strings.Repeat("A", 1<<16)} {
		_, err := peer.ParseToken(token)
		if err == nil {
			t.Errorf("%.60q is taken for a token", token)
		} else if !strings.Contains(err.Error(), "join token") || len(err.Error()) > 200 {
			t.Errorf("%.60q: the error does not say what is wrong: %v", token, err)
		}
	}
}

func TestDerivedKeys(t *testing.T) {
	if a, b := peer.NewSecret(), peer.NewSecret(); a == b {
		t.Fatal("two new secrets are the same")
	}
	rapid.Check(t, func(t *rapid.T) {
		s, other := drawSecret(t), drawSecret(t)
		keys := func(s peer.Secret) map[string][]byte {
			return map[string][]byte{"gossip key": s.GossipKey(), "network key": s.NetworkKey(), "api token": []byte(s.APIToken()), "cluster id": []byte(s.ClusterID())}
		}
		mine, theirs := keys(s), keys(other)
		if len(mine["gossip key"]) != 32 || len(mine["network key"]) != 32 || bytes.Equal(mine["gossip key"], mine["network key"]) {
			t.Fatalf("keys of 32 bytes that differ: got %x and %x", mine["gossip key"], mine["network key"])
		}
		for what, key := range mine {
			if s != other && bytes.Equal(key, theirs[what]) {
				t.Fatalf("two secrets have the same %s", what)
			}
			for i := 0; i+8 <= len(s); i++ {
				part := s[i : i+8]
				if zero := make([]byte, 8); bytes.Equal(part, zero) {
					continue // the shrunk secret of zeros proves nothing
				}
				for _, form := range []string{string(part), hex.EncodeToString(part), base64.RawURLEncoding.EncodeToString(part)} {
					if bytes.Contains(key, []byte(form)) {
						t.Fatalf("the %s contains bytes %d to %d of the secret", what, i, i+7)
					}
				}
			}
		}
	})
	// A new version of the program has to find its cluster again.
	var s peer.Secret
	for i := range s {
		s[i] = byte(i)
	}
	for what, pair := range map[string][2]string{
		"token":       {s.Token(), "orch-join-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9jDc0p"},
		"gossip key":  {hex.EncodeToString(s.GossipKey()), "b63898bae079e2ca8a7afa8e26df1068dfa8e1051b53d7faf2462552fb0f6485"},
		"network key": {hex.EncodeToString(s.NetworkKey()), "11b1acdb261c468a3b2d226212d25415da8887844e5565bc8a64b86320e13c1c"},
		"api token":   {s.APIToken(), "orch-api-1-222ca09edc94ad08029d04f95043f40486dc955a5a545612"},
		"cluster id":  {s.ClusterID(), "claqtedb"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s of a known secret: got %s, want %s", what, pair[0], pair[1])
		}
	}
}

func openDir(t *testing.T, path string) *peer.Dir {
	t.Helper()
	d, err := peer.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // closed twice in some tests
	return d
}

func TestDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := openDir(t, path)
	if d.ID == "" || d.Path != path || d.LockPath() != filepath.Join(path, "lock") {
		t.Errorf("got %+v", d)
	}
	if _, err := peer.OpenDir(path); !errors.Is(err, peer.ErrDirInUse) {
		t.Errorf("second open: got %v, want ErrDirInUse", err)
	} else if s := err.Error(); !strings.Contains(s, path) || !strings.Contains(s, "--data-dir") {
		t.Errorf("second open: the error says not where, or not what to do: %q", s)
	}
	other := openDir(t, filepath.Join(t.TempDir(), "other"))
	if other.ID == d.ID {
		t.Errorf("two new directories have the same id %s", d.ID)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openDir(t, path); again.ID != d.ID || !again.Key.Equals(d.Key) {
		t.Errorf("after a restart the node is %s, was %s", again.ID, d.ID)
	}
}

func TestBlankDir(t *testing.T) {
	d := openDir(t, t.TempDir())
	if !d.Blank() {
		t.Error("a new directory is not blank")
	}
	for _, name := range []string{"table.db", "peers.json"} {
		if err := os.WriteFile(filepath.Join(d.Path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if d.Blank() {
			t.Errorf("a directory with %s is blank", name)
		}
		if err := d.Forget(); err != nil || !d.Blank() {
			t.Errorf("made to forget, it is not blank (%v)", err)
		}
	}
}

func TestDirSecret(t *testing.T) {
	path := t.TempDir()
	if s, ok, err := peer.ReadSecret(path); ok || err != nil || s != (peer.Secret{}) {
		t.Errorf("blank directory: got %v, %v, want none", ok, err)
	}
	if _, ok, err := peer.ReadSecret(filepath.Join(path, "nowhere")); ok || err != nil {
		t.Errorf("no directory: got %v, %v, want none", ok, err)
	}
	d := openDir(t, path)
	secret := peer.NewSecret()
	for range 2 { // again replaces it
		if err := d.SetSecret(secret); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok, err := d.Secret(); got != secret || !ok || err != nil {
		t.Errorf("got %x, %v, %v, want %x", got, ok, err, secret)
	}
	if got, ok, err := peer.ReadSecret(path); got != secret || !ok || err != nil { // while d is locked
		t.Errorf("without the lock: got %x, %v, %v, want %x", got, ok, err, secret)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 { // lock, key, secret
		t.Errorf("the directory has %v, want no leftovers", entries)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "secret"), []byte(secret.Token()[:40]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := peer.ReadSecret(path); ok || err == nil || !strings.Contains(err.Error(), filepath.Join(path, "secret")) {
		t.Errorf("damaged secret: got %v, %v, want an error that names the file", ok, err)
	}
}

func TestNewDirIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	openDir(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("got mode %v, %v, want 0700", info.Mode(), err)
	}
}

func TestCorruptKey(t *testing.T) {
	good := t.TempDir()
	if err := openDir(t, good).Close(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(good, "key"))
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{"empty": nil, "text": []byte("not a key"), "truncated": key[:len(key)/2], "zeros": make([]byte, len(key))} {
		t.Run(what, func(t *testing.T) {
			path := t.TempDir()
			file := filepath.Join(path, "key")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := peer.OpenDir(path)
			if err == nil || errors.Is(err, peer.ErrDirInUse) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "restore it") {
				t.Errorf("got %v, want an error that names the file and says what to do", err)
			}
			if left, err := os.ReadFile(file); err != nil || !bytes.Equal(left, b) {
				t.Errorf("the damaged key was changed: %x, %v", left, err)
			}
			if err := os.WriteFile(file, key, 0o600); err != nil { // restored
				t.Fatal(err)
			}
			openDir(t, path) // and the lock of the failed attempt is free
		})
	}
}

func TestDirThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.OpenDir(file); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a file as data directory: got %v, want an error that says what to do", err)
	}
}
