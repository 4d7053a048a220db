package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The disk of a node is a file system in a file, where [LabConfig] asks for one.
const (
	imageFile = "disk.img"
	diskDir   = "disk" // where it is mounted; the data directory is in it
	fillFile  = "filling"
)

// newDisk makes a disk and mounts it.
func (n *Node) newDisk(ctx context.Context, size int64) error {
	image := filepath.Join(n.dir, imageFile)
	err := os.WriteFile(image, nil, 0o600)
	if err == nil {
		err = os.Truncate(image, size)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(n.dir, diskDir), 0o700)
	}
	if err == nil { // all of it may be used, and a fault makes it read-only
		err = runCommand(exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-e", "remount-ro", image))
	}
	if err == nil {
		err = n.mount(ctx)
	}
	if err != nil {
		return fmt.Errorf("make the disk of %s: %w", n.Name, err)
	}
	return nil
}

func (n *Node) mount(ctx context.Context) error {
	return runCommand(exec.CommandContext(ctx, "mount", "-o", "loop", filepath.Join(n.dir, imageFile), filepath.Join(n.dir, diskDir)))
}

// unmountBelow unmounts the disks below dir.
func unmountBelow(ctx context.Context, dir string) error {
	all, err := mountsBelow(dir)
	for _, m := range all {
		err = errors.Join(err, runCommand(exec.CommandContext(ctx, "umount", "--lazy", m.at)))
	}
	return err
}

type mounted struct{ device, at string }

// mountsBelow reads the table of mounts.
func mountsBelow(dir string) ([]mounted, error) {
	table, err := os.ReadFile("/proc/self/mounts")
	if errors.Is(err, fs.ErrNotExist) { // a system that has none
		return nil, nil
	}
	var all []mounted
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 2 && below(f[1], dir) {
			all = append(all, mounted{f[0], f[1]})
		}
	}
	return all, err
}

// FillDisk leaves so many bytes of a node's disk free.
func (l *Lab) FillDisk(n *Node, leave int64) error {
	l.logf("%s: fill the disk", n.Name)
	n.mayEnd()
	if err := n.fill(leave); err != nil {
		return fmt.Errorf("fill the disk of %s: %w", n.Name, err)
	}
	return nil
}

func (n *Node) fill(leave int64) error {
	if n.lab.cfg.Disk == 0 {
		return errOwnDisk
	}
	f, err := os.Create(filepath.Join(n.dir, diskDir, fillFile))
	if err != nil {
		return err
	}
	defer f.Close() // what counts was written before
	var size int64
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		written, err := f.Write(block)
		size += int64(written)
		if errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2] // what is left is less
		} else if err != nil {
			return err
		}
	}
	return errors.Join(f.Truncate(max(0, size-leave)), f.Sync())
}

// mayEnd says that something is done after which the agent may end.
func (n *Node) mayEnd() {
	if a := n.last(); a != nil {
		a.told.Store(true)
	}
}

var errOwnDisk = errors.New("it has no disk of its own")

// FreeDisk undoes FillDisk.
func (l *Lab) FreeDisk(n *Node) error {
	l.logf("%s: free the disk", n.Name)
	return os.Remove(filepath.Join(n.dir, diskDir, fillFile))
}

// FailDisk makes a node's disk read-only, as the kernel does at a fault: files that are
// open for writing cannot be written to either.
func (l *Lab) FailDisk(n *Node) error {
	l.logf("%s: the disk becomes read-only", n.Name)
	n.mayEnd()
	disks, err := mountsBelow(n.dir)
	if err == nil && len(disks) != 1 {
		err = errOwnDisk
	}
	if err == nil {
		err = os.WriteFile(filepath.Join("/sys/fs/ext4", filepath.Base(disks[0].device), "trigger_fs_error"), []byte("a lab"), 0)
	}
	if err != nil {
		return fmt.Errorf("fail the disk of %s: %w", n.Name, err)
	}
	return nil
}

// MendDisk makes a disk that failed writable again, as its owner does: the node's host
// is down meanwhile ([Lab.KillHost]).
func (l *Lab) MendDisk(ctx context.Context, n *Node) error {
	l.logf("%s: mend the disk", n.Name)
	err := runCommand(exec.CommandContext(ctx, "umount", filepath.Join(n.dir, diskDir)))
	image := filepath.Join(n.dir, imageFile)
	if err == nil { // whoever took a copy of all mounts meanwhile holds the failed one: another file is another disk
		err = errors.Join(runCommand(exec.CommandContext(ctx, "cp", "--sparse=always", image, image+".new")), os.Rename(image+".new", image))
	}
	if err == nil {
		check := exec.CommandContext(ctx, "e2fsck", "-fy", image)
		const mended = 1 // exit code: there was something, and it is mended
		if err = runCommand(check); err != nil && check.ProcessState.ExitCode() == mended {
			err = nil
		}
	}
	if err == nil {
		err = n.mount(ctx)
	}
	if err != nil {
		return fmt.Errorf("mend the disk of %s: %w", n.Name, err)
	}
	return nil
}

// KeepCopy copies the data directory of a node as it is at one instant, for
// [Lab.PutBack].
func (l *Lab) KeepCopy(ctx context.Context, n *Node) error {
	l.logf("%s: keep a copy of the disk", n.Name)
	err := os.RemoveAll(n.copyDir())
	if err != nil {
		return fmt.Errorf("copy the disk of %s: %w", n.Name, err)
	}
	if err := n.signalIfRunning(syscall.SIGSTOP); err != nil {
		return err
	}
	err = runCommand(exec.CommandContext(ctx, "cp", "-a", n.DataDir, n.copyDir()))
	return errors.Join(err, n.signalIfRunning(syscall.SIGCONT))
}

func (n *Node) copyDir() string { return filepath.Join(n.dir, "copy") }

// PutBack gives a node, whose host is down, its disk as it was when the copy was kept.
func (l *Lab) PutBack(ctx context.Context, n *Node) error {
	l.logf("%s: put back the copy of the disk", n.Name)
	if err := n.emptyDisk(nil); err != nil {
		return err
	}
	n.forgetID()
	return runCommand(exec.CommandContext(ctx, "cp", "-aT", n.copyDir(), n.DataDir))
}

// WipeDisk removes all that a node, whose host is down, has in its data directory, but
// for some files. It is then to join again ([Lab.Rejoin]); without its key as another
// node of the same name.
func (l *Lab) WipeDisk(n *Node, keep ...string) error {
	l.logf("%s: wipe the disk, but for %v", n.Name, keep)
	if err := n.emptyDisk(keep); err != nil {
		return err
	}
	n.forgetID()
	return nil
}

// forgetID has the node be asked again who it is.
func (n *Node) forgetID() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.id = ""
}

func (n *Node) emptyDisk(keep []string) error {
	if n.Running() {
		return fmt.Errorf("change the disk of %s: its agent runs", n.Name)
	}
	procs, err := procsIn(n.DataDir)
	if err == nil && len(procs) > 0 {
		err = fmt.Errorf("change the disk of %s: %d of its tasks run", n.Name, len(procs))
	}
	if err != nil {
		return err
	}
	files, err := os.ReadDir(n.DataDir)
	for _, f := range files {
		if !slices.Contains(keep, f.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(n.DataDir, f.Name())))
		}
	}
	return err
}
