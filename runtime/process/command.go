package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/exitae337/orchestergo/runtime"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inherited are the only variables of the agent that a task sees.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// command makes the wrapper's command of spec, not yet in a directory.
func (d *Driver) command(id string, spec runtime.Spec) (*exec.Cmd, error) {
	if spec.Labels.Cluster != d.cfg.Cluster || spec.Labels.Node != d.cfg.Node {
		return nil, fmt.Errorf("its labels are of node %s in cluster %q, not of this node", spec.Labels.Node, spec.Labels.Cluster)
	}
	if spec.Image != "" {
		return nil, errors.New("driver process runs no image")
	}
	if len(spec.Command) == 0 || spec.Command[0] == "" {
		return nil, errors.New("driver process needs a command")
	}
	dir := filepath.Join(d.cfg.Dir, id)
	env, path, err := environment(spec, dir)
	if err != nil {
		return nil, err
	}
	program, err := lookPath(spec.Command[0], path)
	if err != nil {
		return nil, fmt.Errorf("cannot run %q: %w", spec.Command[0], err)
	}
	args := append([]string{"-c", wrapper, dir, program}, spec.Command[1:]...)
	cmd := exec.Command(shell, args...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// environment is the task's, and its PATH.
func environment(spec runtime.Spec, dir string) (env []string, path string, err error) {
	vars := map[string]string{"PATH": defaultPath}
	for _, k := range inherited {
		if v, ok := os.LookupEnv(k); ok {
			vars[k] = v
		}
	}
	for k, v := range spec.Env {
		if !envName.MatchString(k) {
			return nil, "", fmt.Errorf("%.80q is not the name of an environment variable", k)
		}
		vars[k] = v
	}
	l := spec.Labels
	for k, v := range map[string]string{
		"ORCH_CLUSTER": l.Cluster, "ORCH_NODE": string(l.Node), "ORCH_BOOT": l.Boot, "ORCH_LOCK": l.Lock,
		"ORCH_JOB": l.Job, "ORCH_LIFE": strconv.FormatInt(l.Life, 10), "ORCH_INDEX": strconv.Itoa(l.Slot),
		"ORCH_EPOCH": strconv.FormatUint(l.Epoch, 10), "ORCH_TASK": l.Task().Slot(),
		"ORCH_TEMPLATE_HASH": l.TemplateHash, dirVar: dir,
	} {
		vars[k] = v
	}
	for k, v := range vars {
		if strings.ContainsRune(v, 0) {
			return nil, "", fmt.Errorf("the value of %s has a NUL byte", k)
		}
		env = append(env, k+"="+v)
	}
	return env, vars["PATH"], nil
}

// lookPath finds the program that word names for a task with that PATH. Relative
// directories of PATH are passed over: they mean nothing in the task's own.
func lookPath(word, path string) (string, error) {
	if filepath.IsAbs(word) {
		return word, runnable(word)
	}
	if strings.Contains(word, "/") {
		return "", errors.New("not an absolute path, nor a name in PATH")
	}
	var first error
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		full := filepath.Join(dir, word)
		err := runnable(full)
		if err == nil {
			return full, nil
		}
		if first == nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			first = err // what was found and cannot be run says more
		}
	}
	if first == nil {
		first = fmt.Errorf("%w in PATH (%s)", unix.ENOENT, path)
	}
	return "", first
}

func runnable(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) {
			return errno // the caller names the word
		}
		return err
	}
	if info.IsDir() {
		return unix.EISDIR
	}
	return unix.Access(file, unix.X_OK)
}
