package scenarios_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// The window in which idle nodes are watched, and what they may take.
const (
	idleNodes   = 30
	idleWindow  = 30 * time.Second
	maxCPURatio = 2.0
	maxResident = 40 << 20
)

// BenchmarkIdle30 holds thirty idle nodes against thirty processes that have Serf
// and libp2p and nothing else, both on the same machine in the same half minute.
func BenchmarkIdle30(b *testing.B) {
	_, lab := newLab(b, scenarios.LabConfig{Profile: "lan"})
	ctx := deadline(b, 5*time.Minute) // sixty processes start first
	bare := startBare(ctx, b)
	must(b, lab.Start(ctx, idleNodes))
	var orch []int
	for _, n := range lab.Nodes() {
		orch = append(orch, n.PID())
	}
	for b.Loop() {
		orchBefore, bareBefore := usage(b, orch), usage(b, bare)
		must(b, scenarios.Throughout(ctx, idleWindow, func() error { return nil }))
		orchAfter, bareAfter := usage(b, orch), usage(b, bare)

		ours, theirs := orchAfter.CPU-orchBefore.CPU, bareAfter.CPU-bareBefore.CPU
		ratio := float64(ours) / float64(theirs)
		resident := orchAfter.Resident / idleNodes
		b.ReportMetric(ratio, "cpu-ratio")
		b.ReportMetric(100*ours.Seconds()/idleWindow.Seconds(), "orch-%cpu-all")
		b.ReportMetric(100*theirs.Seconds()/idleWindow.Seconds(), "bare-%cpu-all")
		b.ReportMetric(float64(resident)/1e6, "orch-MB")
		b.ReportMetric(float64(bareAfter.Resident)/idleNodes/1e6, "bare-MB")
		if ratio > maxCPURatio {
			b.Errorf("idle nodes take %.2f times the processor time of bare ones, want at most %.0f", ratio, maxCPURatio)
		}
		if resident > maxResident {
			b.Errorf("an idle node has %d bytes of memory, want at most %d", resident, maxResident)
		}
	}
}

// usage adds up what processes have used.
func usage(b *testing.B, pids []int) (sum scenarios.Usage) {
	b.Helper()
	for _, pid := range pids {
		u, err := scenarios.UsageOf(pid)
		must(b, err)
		sum.CPU += u.CPU
		sum.Resident += u.Resident
	}
	return sum
}

// startBare starts what is compared with, and returns when each is connected to all.
func startBare(ctx context.Context, b *testing.B) (pids []int) {
	b.Helper()
	binary, err := build("bare", "./bare")
	must(b, err)
	dir := b.TempDir()
	seed := ""
	next := 20000 + os.Getpid()%500*10
	for i := range idleNodes {
		base, err := scenarios.FreeBlock(next)
		must(b, err)
		next = base + 10
		name := fmt.Sprintf("b%d", i+1)
		cmd := exec.Command(binary, "--name", name, "--gossip-port", strconv.Itoa(base+1), "--peer-port", strconv.Itoa(base+2),
			"--join", seed, "--expect", strconv.Itoa(idleNodes), "--ready", filepath.Join(dir, name))
		cmd.Stderr = b.Output()
		must(b, cmd.Start())
		b.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		pids = append(pids, cmd.Process.Pid)
		if i == 0 {
			seed = "127.0.0.1:" + strconv.Itoa(base+1)
			must(b, scenarios.Eventually(ctx, "the first bare node listens", func() error { return dialable(ctx, seed) }))
		}
	}
	must(b, scenarios.Eventually(ctx, "the bare nodes are connected", func() error {
		made, err := os.ReadDir(dir)
		if err == nil && len(made) != idleNodes {
			err = fmt.Errorf("%d of %d are", len(made), idleNodes)
		}
		return err
	}))
	return pids
}

func dialable(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err
}
