package gossip

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Aside is a file of records that a node took out of its table after an absence,
// since they may be what was removed meanwhile. They can be written again by
// whoever knows better.
type Aside struct {
	File    string    `json:"-"`
	Time    time.Time `json:"time"`
	Peer    string    `json:"peer"` // who did not know them
	Records []Record  `json:"records"`
}

// writeAside puts a into a new file in dir, on disk when it returns. One call at a
// time.
func writeAside(dir string, a Aside) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	b, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	for n := a.Time.UnixMilli(); ; n++ {
		name := filepath.Join(dir, fmt.Sprintf("aside-%d.json", n))
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		if err := os.Rename(f.Name(), name); err != nil {
			return "", fmt.Errorf("set aside: %w", err)
		}
		return name, syncDir(dir)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	return nil
}

// ListAside reads the files of records set aside in dir, oldest first. A
// directory that does not exist has none.
func ListAside(dir string) ([]Aside, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	var out []Aside
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "aside-") || filepath.Ext(e.Name()) != ".json" {
			continue
		}
		name := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read what was set aside: %w", err)
		}
		a := Aside{File: name}
		if err := json.Unmarshal(b, &a); err != nil {
			return nil, fmt.Errorf("read what was set aside in %s: %w", name, err)
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Aside) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.File, b.File)) })
	return out, nil
}
