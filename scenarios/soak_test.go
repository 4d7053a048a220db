package scenarios_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
	"github.com/exitae337/orchestergo/scenarios/soak"
)

// What TestSoak does (go test ./scenarios -run '^TestSoak$' -v -timeout 3h -args
// -soak.over 30m …). Without a time it does nothing: make soak gives it one.
var (
	soakOver   = flag.Duration("soak.over", 0, "time in which faults happen; 0: the test is left out")
	soakFaults = flag.Int("soak.faults", 10, "how many")
	soakNodes  = flag.Int("soak.nodes", 5, "nodes")
	soakJobs   = flag.Int("soak.jobs", 10, "jobs")
	soakRounds = flag.Int("soak.rounds", 1, "rounds, after each of which everything is healed and looked at")
	soakQuiet  = flag.Duration("soak.quiet", 5*time.Second, "time at the end in which nothing may happen")
	soakSeed   = flag.Uint64("soak.seed", 0, "of the faults and requests (default one by the clock)")
	soakOnly   = flag.String("soak.only", "", "faults whose words begin like this")
	soakLogs   = flag.String("soak.logs", "", "directory for the logs of agents")
)

// TestSoak has everything happen to a cluster for a while.
func TestSoak(t *testing.T) {
	if *soakOver == 0 {
		t.Skip("it takes as long as it is told to: make soak")
	}
	cfg := scenarios.LabConfig{Resources: api.Resources{CPUs: 2400, Memory: 1536 << 20}}
	links, disks := true, true
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" { // what is left is worth it
		links, disks = false, false
	} else {
		needNetwork(t)
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		disks = false
	}
	cfg.Network = links
	if disks {
		cfg.Disk = 64 << 20
	}
	kinds := slices.DeleteFunc(soak.Kinds(links, disks), func(k soak.Kind) bool { return !strings.HasPrefix(string(k), *soakOnly) })
	_, lab := newLab(t, cfg)
	ctx := deadline(t, 3**soakOver+10*time.Minute)
	if err := lab.Start(ctx, *soakNodes); err != nil {
		t.Fatal(err)
	}
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixMilli())
	}
	again := fmt.Sprintf("to repeat this: make soak SEED=%d MINUTES=%.4g FAULTS=%d NODES=%d JOBS=%d ROUNDS=%d",
		seed, soakOver.Minutes(), *soakFaults, *soakNodes, *soakJobs, *soakRounds)
	t.Log(again)
	report, err := soak.Run(ctx, soak.Config{
		Lab: lab, Seed: seed, Jobs: *soakJobs, Faults: *soakFaults, Over: *soakOver, Rounds: *soakRounds,
		Kinds: kinds, Settle: 2 * time.Minute, Quiet: *soakQuiet, Log: t.Output(),
	})
	t.Logf("\n%s", report)
	if err != nil {
		t.Errorf("seed %d: %v\n%s", seed, err, again)
	}
	keepLogs(t, lab, *soakLogs)
}

// keepLogs copies the logs of agents, if there is a directory for them.
func keepLogs(t *testing.T, lab *scenarios.Lab, dir string) {
	if dir == "" {
		return
	}
	must(t, os.MkdirAll(dir, 0o700))
	for _, n := range lab.Nodes() {
		log, err := os.ReadFile(n.LogFile())
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, n.Name+".log"), log, 0o600))
	}
}
