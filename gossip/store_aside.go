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
	// Settled are the keys of records that somebody has decided about.
	Settled []string `json:"settled,omitempty"`
	// Damage says why the file cannot be read, or is nil.
	Damage error `json:"-"`
}

// writeAside puts a into a new file in dir, on disk when it returns. One call at a
// time.
func writeAside(dir string, a Aside) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	for n := a.Time.UnixMilli(); ; n++ {
		a.File = filepath.Join(dir, fmt.Sprintf("aside-%d.json", n))
		if _, err := os.Lstat(a.File); err == nil {
			continue
		}
		if err := a.save(); err != nil {
			return "", fmt.Errorf("set aside: %w", err)
		}
		return a.File, nil
	}
}

// save writes a to its file, whole or not at all, on disk when it returns.
func (a Aside) save() error {
	b, err := json.MarshalIndent(a, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(a.File)
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), a.File); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Settle notes in the file of a, on disk when it returns, that the records under
// keys have been decided about. They stay in the file. One call at a time.
func (a Aside) Settle(keys ...string) error {
	a.Settled = append(slices.Clone(a.Settled), keys...)
	if err := a.save(); err != nil {
		return fmt.Errorf("settle what was set aside: %w", err)
	}
	return nil
}

// ListAside reads the files of records set aside in dir, oldest first. A
// directory that does not exist has none. A file that cannot be read keeps none of
// the others from being listed: it has its Damage, and the time at which it was
// last written.
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
		out = append(out, readAside(filepath.Join(dir, e.Name())))
	}
	slices.SortFunc(out, func(a, b Aside) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.File, b.File)) })
	return out, nil
}

func readAside(name string) Aside {
	a := Aside{File: name}
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err == nil {
		return a
	}
	a = Aside{File: name, Damage: fmt.Errorf("read what was set aside in %s: %w", name, err)}
	if info, err := os.Stat(name); err == nil {
		a.Time = info.ModTime()
	}
	return a
}
