package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

const shell = "/bin/sh"

// wrapper is what runs the command. Its $0 is the attempt's directory and "$@" the
// command: no word of a user is ever part of the script.
//
// The first line lets the wrapper survive what is sent to its group; traps, unlike
// ignored signals, are not handed on to the command. The second waits for the
// agent: if that dies first, read fails and nothing is run. The shell's own remarks
// ("Killed") are kept out of the task's log. exec in a subshell keeps the command
// from being taken for a builtin. The exit code is written by a builtin in one
// stroke, so it needs no PATH and no second process.
const wrapper = `trap : HUP INT QUIT TERM
read -r ORCH_GO || exit 125
exec 3>&2 2>/dev/null </dev/null
( exec 2>&3 3>&-; exec "$@" )
ORCH_GO=$?
echo "$ORCH_GO" >"$0/exit"
exit "$ORCH_GO"
`

// execWait bounds the wait for the shell to become the command; a disk that does
// not answer is not our failure to start.
const execWait = 5 * time.Second

// Start starts the command in a session of its own. The first word is looked for
// in the task's PATH and must otherwise be an absolute path, since the task begins
// in an empty directory of its own. It has a few harmless variables of the agent,
// those of spec.Env, ORCH_* for each label, and ORCH_DIR, its directory.
func (d *Driver) Start(ctx context.Context, spec runtime.Spec, _ func(api.TaskState, string)) (runtime.Container, error) {
	c, err := d.start(ctx, spec)
	if err != nil {
		return runtime.Container{}, fmt.Errorf("start %.80s: %w", spec.Labels.Task(), err)
	}
	return c, nil
}

func (d *Driver) start(ctx context.Context, spec runtime.Spec) (runtime.Container, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Container{}, err
	}
	id, err := attemptID(spec.Labels)
	if err != nil {
		return runtime.Container{}, err
	}
	cmd, err := d.command(id, spec)
	if err != nil {
		return runtime.Container{}, err
	}
	release, ok := d.claim(id)
	if !ok {
		return runtime.Container{}, runtime.ErrBusy
	}
	defer release()
	old, err := d.load(id)
	exists := err == nil
	if exists && d.look(ctx, old).State != runtime.Exited {
		return runtime.Container{}, runtime.ErrBusy
	}
	made, err := os.MkdirTemp(d.cfg.Dir, hidden+"new-")
	if err != nil {
		return runtime.Container{}, err
	}
	defer os.RemoveAll(made) // nothing is there any more once it was renamed
	a := attempt{id: id, dir: filepath.Join(d.cfg.Dir, id), labels: spec.Labels}
	gate, err := launch(cmd, made, &a)
	if err != nil {
		return runtime.Container{}, err
	}
	if exists {
		err = d.discard(old)
	}
	if err == nil {
		err = d.begin(a, cmd, made, gate)
	}
	if err != nil {
		gate.Close()   // the wrapper reads the end of its gate and goes without running anything
		_ = cmd.Wait() // how it ends says nothing more
		return runtime.Container{}, err
	}
	awaitExec(ctx, a.leader)
	d.notify()
	if a, err = d.load(id); err != nil {
		return runtime.Container{}, err
	}
	return d.look(ctx, a), nil
}

// launch fills the directory made for a and starts the wrapper, which waits at the
// gate. It fills in a.leader. After an error no process is left.
func launch(cmd *exec.Cmd, made string, a *attempt) (gate io.WriteCloser, err error) {
	if err := writeJSON(filepath.Join(made, labelsFile), a.labels); err != nil {
		return nil, err
	}
	cmd.Dir = filepath.Join(made, workDir)
	if err := os.Mkdir(cmd.Dir, 0o700); err != nil {
		return nil, err
	}
	for name, out := range map[string]*io.Writer{"stdout": &cmd.Stdout, "stderr": &cmd.Stderr} {
		f, err := os.OpenFile(filepath.Join(made, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		*out = f // a file is handed to the child as it is: no pipe of ours
	}
	if gate, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a.leader = leader{PID: cmd.Process.Pid, StartedAt: time.Now()}
	var ok bool
	if a.leader.Stamp, ok = stampOf(a.leader.PID); !ok {
		err = fmt.Errorf("%s ended before it began", shell)
	} else {
		err = writeJSON(filepath.Join(made, leaderFile), a.leader)
	}
	if err != nil {
		gate.Close()
		_ = cmd.Wait()
		return nil, err
	}
	return gate, nil
}

// begin gives the attempt its name, opens the gate, and lets a goroutine wait for
// its end.
func (d *Driver) begin(a attempt, cmd *exec.Cmd, made string, gate io.WriteCloser) error {
	d.mu.Lock()
	d.forget(a.id, d.holds[a.id]) // what is left of an earlier run
	h := d.hold(a.id)
	h.child, h.seen = true, true
	d.mu.Unlock()
	if err := os.Rename(made, a.dir); err != nil {
		d.mu.Lock()
		d.forget(a.id, h)
		d.mu.Unlock()
		return err
	}
	// A wrapper that was killed meanwhile does not read; the goroutine sees its end.
	_, _ = io.WriteString(gate, "go\n")
	gate.Close()
	go d.reap(a, cmd)
	return nil
}

// reap waits for the wrapper, a child, and makes an end of the attempt.
func (d *Driver) reap(a attempt, cmd *exec.Cmd) {
	_ = cmd.Wait() // its error says what ProcessState says
	var saw *ending
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		end := endOf(128 + int(status.Signal()))
		saw = &end
	} else if code := cmd.ProcessState.ExitCode(); code >= 0 {
		end := endOf(code) // the disk may have been too full to say it
		saw = &end
	}
	if _, err := d.finish(context.Background(), a, saw); err != nil {
		d.mu.Lock()
		d.hold(a.id).child = false // nobody waits any more: it is List that tries again
		d.mu.Unlock()
		d.cfg.Log.WithError(err).WithField("task", a.labels.Task().String()).Error("cannot make an end of a task")
	}
}

// awaitExec waits until the wrapper has forked and its child is no longer the
// shell. A SIGTERM before that would be caught by the wrapper's trap and lost.
func awaitExec(ctx context.Context, l leader) {
	ctx, cancel := context.WithTimeout(ctx, execWait)
	defer cancel()
	before := image(l.PID)
	for pause := time.Millisecond; l.alive(); pause = min(2*pause, 50*time.Millisecond) {
		for _, pid := range children(l.PID) {
			if now := image(pid); len(now) > 0 && !bytes.Equal(now, before) {
				return
			}
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}
