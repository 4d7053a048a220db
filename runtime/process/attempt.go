package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// hidden begins the names of directories that are no attempt, or not yet, or no
// longer.
const hidden = "."

// The files of an attempt; the package comment says what they are.
const (
	labelsFile = "labels.json"
	leaderFile = "leader.json"
	exitFile   = "exit"
	endFile    = "end.json"
	workDir    = "work"
)

// attempt is what the directory of an attempt says.
type attempt struct {
	id     string
	dir    string
	labels runtime.Labels
	leader leader
	end    *ending // nil while something of it may run
}

// leader is the wrapper, which leads the session of its task.
type leader struct {
	PID       int       `json:"pid"`
	Stamp     string    `json:"stamp"` // when the machine says that it started, opaque
	StartedAt time.Time `json:"started_at"`
}

// alive says whether the very process runs, and not another of its number.
func (l leader) alive() bool {
	stamp, ok := stampOf(l.PID)
	return ok && stamp == l.Stamp
}

// same says whether l and o are one process.
func (l leader) same(o leader) bool { return l.PID == o.PID && l.Stamp == o.Stamp }

// ending is how an attempt ended.
type ending struct {
	ExitCode   int       `json:"exit_code"` // -1 when it cannot be known
	Reason     string    `json:"reason"`
	FinishedAt time.Time `json:"finished_at"`
}

// attemptID is the name of an attempt's directory. It refuses labels whose name
// would be no plain one.
func attemptID(l runtime.Labels) (string, error) {
	if !api.ValidJobName(l.Job) {
		return "", fmt.Errorf("%.80q is not a job name", l.Job)
	}
	if l.Slot < 0 || l.Life < 0 {
		return "", fmt.Errorf("slot %d of life %d is not a task", l.Slot, l.Life)
	}
	return fmt.Sprintf("%s.%d.%d.%d", l.Job, l.Life, l.Slot, l.Epoch), nil
}

// load reads the attempt id. It fails with runtime.ErrNotFound unless there is one
// with labels of this cluster and node.
func (d *Driver) load(id string) (attempt, error) {
	job, _, _ := strings.Cut(id, ".") // before id meets a path; the rest must agree with the labels
	if !api.ValidJobName(job) || strings.ContainsAny(id, "/\x00") {
		return attempt{}, fmt.Errorf("%.80q: %w", id, runtime.ErrNotFound)
	}
	a := attempt{id: id, dir: filepath.Join(d.cfg.Dir, id)}
	err := readJSON(filepath.Join(a.dir, labelsFile), &a.labels)
	if errors.Is(err, fs.ErrNotExist) {
		return attempt{}, fmt.Errorf("%s: %w", id, runtime.ErrNotFound)
	}
	if err != nil {
		return attempt{}, fmt.Errorf("%s: %w (its %s cannot be read: %w)", id, runtime.ErrNotFound, labelsFile, err)
	}
	if name, err := attemptID(a.labels); err != nil || name != id || a.labels.Cluster != d.cfg.Cluster || a.labels.Node != d.cfg.Node {
		return attempt{}, fmt.Errorf("%s: %w (its labels are of another)", id, runtime.ErrNotFound)
	}
	// A wrapper that cannot be named is no process: then the attempt is over.
	if err := readJSON(filepath.Join(a.dir, leaderFile), &a.leader); err != nil {
		a.leader = leader{}
	}
	var end ending
	if readJSON(filepath.Join(a.dir, endFile), &end) == nil {
		a.end = &end
	}
	return a, nil
}

// container is a as the contract wants it; it runs while end is nil.
func (a attempt) container(end *ending) runtime.Container {
	c := runtime.Container{ID: a.id, Labels: a.labels, State: runtime.Running, PID: a.leader.PID, StartedAt: a.leader.StartedAt}
	if end != nil {
		c.State, c.PID = runtime.Exited, 0
		c.ExitCode, c.Reason, c.FinishedAt = end.ExitCode, end.Reason, end.FinishedAt
	}
	return c
}

// ending says how a ended, now that nothing of it runs: the wrapper's word if it
// left one, else what we saw, else that nobody knows.
func (a attempt) ending(saw *ending) ending {
	path := filepath.Join(a.dir, exitFile)
	// The wrapper writes the file at one stroke; without its newline it is not whole.
	if b, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(b), "\n") {
		if code, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			end := endOf(code)
			if info, err := os.Stat(path); err == nil {
				end.FinishedAt = info.ModTime()
			}
			return end
		}
	}
	if saw != nil {
		return *saw
	}
	return ending{ExitCode: -1, Reason: "ended without leaving an exit code", FinishedAt: time.Now()}
}

// endOf is the end, now, with a code as a shell gives it: 128 and n is taken for
// signal n, as a command that ends so by itself means the same.
func endOf(code int) ending {
	end := ending{ExitCode: code, FinishedAt: time.Now()}
	if code > 128 && code < 128+65 {
		end.Reason = fmt.Sprintf("killed by signal %d", code-128)
	}
	return end
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// writeJSON makes the file whole or not at all, also when the machine stops.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
