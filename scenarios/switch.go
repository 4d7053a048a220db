package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// A Switch joins network namespaces as a switch joins machines. It takes Linux and
// root, and leaves this machine's own network alone.
type Switch struct{ ns *namespace }

// NewSwitch makes a switch with nothing plugged in. It is gone after Close, and at
// the latest with this program.
func NewSwitch() (*Switch, error) {
	ns, err := newNamespace("ip link add switch type bridge && ip link set switch up")
	if err != nil {
		return nil, fmt.Errorf("make a switch: %w", err)
	}
	return &Switch{ns}, nil
}

// Connect gives the network namespace of a process an interface called link with the
// address (10.0.0.1/24), plugged into the switch. No two may have the same port: it
// is the name of the other end of the cable, of at most 15 letters.
func (s *Switch) Connect(ctx context.Context, pid int, port, link, addr string) error {
	err := s.ns.run(ctx, "", "ip", "link", "add", port, "type", "veth", "peer", "name", link, "netns", strconv.Itoa(pid))
	if err == nil {
		err = s.ns.run(ctx, "", "ip", "link", "set", port, "master", "switch", "up")
	}
	if err == nil {
		err = runIn(ctx, pid, "", "sh", "-c", "ip link set lo up && ip addr add "+addr+" dev "+link+" && ip link set "+link+" up")
	}
	if err != nil {
		return fmt.Errorf("connect %s: %w", port, err)
	}
	return nil
}

// Close unplugs everything.
func (s *Switch) Close() error { return s.ns.close() }

// A namespace is a network of its own. It lasts as long as its keeper, or a process
// that was started in it.
type namespace struct {
	keeper *exec.Cmd
	hold   io.Closer // its standard input, at the end of which it ends
}

// newNamespace makes one and runs a line of shell in it.
func newNamespace(line string) (*namespace, error) {
	keeper := exec.Command("unshare", "--net", "sh", "-c", line+" && echo up && exec cat")
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what interrupts this program leaves it to clear up
	var words bytes.Buffer
	keeper.Stderr = &words
	hold, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := keeper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := keeper.Start(); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil {
		hold.Close()
		_ = keeper.Wait() // the words say why
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(words.Bytes()))
	}
	return &namespace{keeper, hold}, nil
}

func (s *namespace) pid() int { return s.keeper.Process.Pid }

// run runs a program in the namespace and waits for its end.
func (s *namespace) run(ctx context.Context, stdin string, args ...string) error {
	return runIn(ctx, s.pid(), stdin, args...)
}

func (s *namespace) close() error {
	s.hold.Close()
	return s.keeper.Wait()
}

// inside is a program to be run in the network of a process. The program keeps the
// number of the process that is started for it.
func inside(ctx context.Context, pid int, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--net", "--"}, args...)...)
}

func runIn(ctx context.Context, pid int, stdin string, args ...string) error {
	cmd := inside(ctx, pid, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return runCommand(cmd)
}

// runCommand runs a program that is expected to work; what it says is in the error.
func runCommand(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
