package dockertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// SecondConfig says what a second engine is like.
type SecondConfig struct {
	Disk        int64 // bytes of a disk of its own for all that it keeps; 0 is the machine's
	LiveRestore bool  // its containers outlive it

	// Machine, unless empty, makes it more than an engine: a machine of that name, with a
	// /var/lib of its own, and whose containers have a network.
	Machine string
}

// Second is an engine beside the machine's, to be hurt. It has network, mount and
// process namespaces of its own: two engines in one network namespace take each
// other's bridge away, and when the first process of the last one ends, all that the
// engine started ends with it. Its containers have no network, unless it is a machine.
type Second struct {
	t    testing.TB
	cfg  SecondConfig
	dir  string
	name string // of its control groups

	keeper *exec.Cmd       // of the namespaces; ends with its standard input, so with this program
	hold   io.Closer       // that input
	words  strings.Builder // what the keeper says of faults; to be read when it has ended
	pid    string          // of the first process in the namespaces

	daemon *exec.Cmd     // nil while stopped
	ended  chan struct{} // closed when daemon has
	frozen bool
	cli    *client.Client
}

// keep makes the namespaces and, once the first process in them has ended, clears up
// after all that has ended with it. $0 is what that process does, $1 the directory of
// the engine, $2 the size of its disk, $3 the name of its control groups, which the
// kernel holds for a moment longer, and $4 the name of a machine, or nothing.
const keep = `unshare --net --mount --pid --uts --fork sh -c "$0" sh "$1/data" "$2" "$4" "$1/lib"
groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$1"; }
for try in $(seq 100); do
	left=$(groups "$3")
	[ -n "$left" ] || break
	find $left -depth -type d -exec rmdir {} + 2>/dev/null
	sleep 0.1
done
rm -rf "$1" && [ -z "$(groups "$3")" ]`

// namespaces is what the first process in the namespaces does: it says its own
// number, as the outside has it, gives them /proc and /run, and waits; a shell that
// waits also reaps what has lost its parent. $1 is where a disk of $2 bytes is to be,
// unless $2 is 0. $3 is the name of a machine, if it is one, and $4 the place for its
// /var/lib.
const namespaces = `read -r pid rest </proc/self/stat &&
mount -t proc proc /proc && mount -t tmpfs tmpfs /run &&
mkdir "$1" && if [ "$2" != 0 ]; then mount -t tmpfs -o "size=$2" tmpfs "$1"; fi &&
if [ -n "$3" ]; then echo "$3" >/proc/sys/kernel/hostname && mkdir "$4" && mount --bind "$4" /var/lib; fi &&
echo "$pid" && exec 3<&0 && { cat <&3 & wait; }`

// NewSecond starts an engine that ends with the test, and with this program. It
// needs Linux, root and dockerd; where these are not the test is skipped, unless the
// variable CI is true: then it fails.
func NewSecond(t testing.TB, cfg SecondConfig) *Second {
	t.Helper()
	if why := cannot(); why != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no second docker engine, and CI must have one: %s", why)
		}
		t.Skipf("no second docker engine: %s", why)
	}
	dir, err := os.MkdirTemp("", "engine-") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	s := &Second{t: t, cfg: cfg, dir: dir, name: "orch-test-" + unique()}
	t.Cleanup(s.end)
	if err := os.WriteFile(s.file("config.json"), []byte("{}"), 0o600); err != nil { // the machine's may contradict the flags
		t.Fatal(err)
	}
	s.separate()
	if s.cli, err = client.NewClientWithOpts(client.WithHost(s.Host()), client.WithAPIVersionNegotiation()); err != nil {
		t.Fatalf("docker client: %v", err)
	}
	s.Start()
	return s
}

// cannot says why this machine has no second engine, or "".
func cannot() string {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return "it takes root on linux"
	}
	for _, program := range []string{"dockerd", "containerd", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			return err.Error()
		}
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("no namespaces: %v %s", err, out)
	}
	return ""
}

func (s *Second) file(name string) string { return filepath.Join(s.dir, name) }

// separate makes the namespaces.
func (s *Second) separate() {
	s.t.Helper()
	s.keeper = exec.Command("sh", "-c", keep, namespaces, s.dir, fmt.Sprint(s.cfg.Disk), s.name, s.cfg.Machine)
	s.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what interrupts this program leaves it to clear up
	s.keeper.Stderr = &s.words
	in, err := s.keeper.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.keeper.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.keeper.Start(); err != nil {
		s.t.Fatalf("make namespaces: %v", err)
	}
	s.hold = in
	if s.pid, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		s.t.Fatalf("make namespaces: %v", err) // end says why
	}
	s.pid = strings.TrimSpace(s.pid)
}

// PID is the number of a process in its namespaces.
func (s *Second) PID() string { return s.pid }

// Inside is a program to be run in its namespaces, with which it ends at the latest.
// Once ctx is done nobody waits for it any more.
func (s *Second) Inside(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", s.pid, "--net", "--mount", "--pid", "--uts"}, args...)...)
}

// Host is where it is to be reached, as in DOCKER_HOST.
func (s *Second) Host() string { return "unix://" + s.file("docker.sock") }

// Client is a client of it, good for as long as the test.
func (s *Second) Client() *client.Client { return s.cli }

// Start starts the engine and returns when it answers.
func (s *Second) Start() {
	s.t.Helper()
	args := []string{
		"--host", s.Host(), "--config-file", s.file("config.json"), "--data-root", s.file("data"), "--exec-root", s.file("exec"), "--pidfile", s.file("pid"),
		"--storage-driver=vfs", "--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=/" + s.name,
	}
	if s.cfg.Machine == "" {
		args = append(args, "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
	}
	if s.cfg.LiveRestore {
		args = append(args, "--live-restore")
	}
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close() // it has its own
	// The shell between keeps nsenter, which stops itself with its child, out of Freeze.
	daemon, ended := s.Inside(context.Background(), append([]string{"sh", "-c", `"$0" "$@" & wait`, "dockerd"}, args...)...), make(chan struct{})
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		s.t.Fatalf("start the second engine: %v", err)
	}
	go func() {
		_ = daemon.Wait() // however it ends
		close(ended)
	}()
	s.daemon, s.ended = daemon, ended
	s.await("the second engine answers", func(ctx context.Context) bool {
		_, err := s.cli.Ping(ctx)
		return err == nil
	})
}

// await waits until ok, and no longer than the engine lives.
func (s *Second) await(what string, ok func(context.Context) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-tick.C:
			continue
		case <-s.ended:
		case <-ctx.Done():
		}
		s.t.Fatalf("it is not so that %s; its last words:\n%s", what, s.lastWords())
	}
}

func (s *Second) lastWords() string {
	b, err := os.ReadFile(s.file("log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// Stop ends the engine, as the machine's owner does, and returns when it has ended.
func (s *Second) Stop() {
	s.t.Helper()
	s.halt("TERM")
}

// Kill ends the engine as a crash does: its containers stay.
func (s *Second) Kill() {
	s.t.Helper()
	s.halt("KILL")
}

func (s *Second) halt(signal string) {
	s.t.Helper()
	s.signal(signal)
	select {
	case <-s.ended:
	case <-time.After(wait):
		s.t.Fatalf("the second engine does not end; its last words:\n%s", s.lastWords())
	}
	s.daemon = nil
}

// Freeze stops the engine where it is: its socket accepts, and nobody answers.
func (s *Second) Freeze() {
	s.t.Helper()
	s.signal("STOP")
	s.frozen = true
	s.t.Cleanup(s.Thaw) // whoever clears up after the test may need it
}

// Thaw lets a frozen engine go on; then it does all that was asked of it meanwhile.
func (s *Second) Thaw() {
	s.t.Helper()
	if s.frozen {
		s.frozen = false
		s.signal("CONT")
	}
}

func (s *Second) signal(name string) {
	s.t.Helper()
	s.run("kill -"+name+` "$(cat "$0")"`, s.file("pid"))
}

// FillDisk leaves so many bytes of the disk of its own free.
func (s *Second) FillDisk(leave int64) {
	s.t.Helper()
	s.run(`cat /dev/zero >"$0" 2>/dev/null; truncate -s "-$1" "$0"`, s.file("data/filling"), fmt.Sprint(leave))
}

// FreeDisk undoes FillDisk.
func (s *Second) FreeDisk() {
	s.t.Helper()
	s.run(`rm "$0"`, s.file("data/filling"))
}

// run runs a script in the namespaces.
func (s *Second) run(script string, args ...string) {
	s.t.Helper()
	if out, err := s.Inside(context.Background(), append([]string{"sh", "-c", script}, args...)...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// end ends all that runs in the namespaces, and removes what is left.
func (s *Second) end() {
	if s.cli != nil {
		s.cli.Close()
	}
	if s.hold == nil {
		os.RemoveAll(s.dir)
		return
	}
	s.hold.Close()
	if err := s.keeper.Wait(); err != nil {
		s.t.Errorf("clear up after the second engine: %v %s", err, s.words.String())
	}
	if s.daemon != nil {
		<-s.ended
	}
}
