// Command demo shows in a few seconds what orch is for: five nodes, a job handed
// to one of them, the death of the host that holds most of it, and the work coming
// back on the others. It uses nothing that a user could not: the binary, and HTTP.
// Where a docker engine answers, the tasks are containers of an image that it makes
// itself; else they are plain processes. It fails if the job did not heal or if anything is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// The demonstration: what it starts, and how long it may take in all.
const (
	nodes     = 5
	replicas  = 6
	firstPort = 7170
	patience  = 2 * time.Minute
)

func main() {
	var o options
	flag.StringVar(&o.binary, "orch", "bin/orch", "the orch to show")
	flag.StringVar(&o.dir, "dir", ".demo", "directory for the nodes; removed at the end")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster up and print what to try")
	stop := flag.Bool("stop", false, "only stop a cluster that was left up in --dir, and remove it")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, patience)
	defer cancelTime()
	run := o.show
	if *stop {
		run = o.stop
	}
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

type options struct {
	binary string
	dir    string
	keep   bool
}

// show makes a lab, shows it, and ends it unless it is to be kept.
func (o options) show(ctx context.Context, out io.Writer) error {
	s := &stage{began: time.Now(), out: out}
	if err := s.tellBinary(o.binary); err != nil {
		return err
	}
	lab, err := s.open(ctx, o)
	if err != nil {
		return err
	}
	s.lab = lab
	err = s.play(ctx)
	if err != nil {
		s.tellLogs()
	}
	if err == nil && o.keep {
		s.tellWhatToTry(o)
		return nil
	}
	if closeErr := s.end(); closeErr != nil {
		return errors.Join(err, closeErr)
	}
	if err == nil {
		fmt.Fprintln(out, "demo: ok")
	}
	return err
}

// open makes the lab and what its tasks run on.
func (s *stage) open(ctx context.Context, o options) (*scenarios.Lab, error) {
	if entries, err := os.ReadDir(o.dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty (is a demo up? make demo-stop ends it)", o.dir)
	}
	var err error
	if s.ground, err = s.findGround(ctx, o.dir); err != nil {
		return nil, err
	}
	lab, err := scenarios.NewLab(scenarios.LabConfig{Binary: o.binary, Dir: o.dir, FirstPort: firstPort, Driver: s.ground.driver})
	if err != nil {
		return nil, errors.Join(err, s.ground.close(ctx))
	}
	return lab, nil
}

// stop ends a lab that was left up.
func (o options) stop(ctx context.Context, out io.Writer) error {
	if _, err := os.Stat(o.dir); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(out, "no demo is up: there is no %s\n", o.dir)
		return forgetImage(ctx, out, o.dir)
	}
	killed, err := scenarios.Demolish(ctx, o.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "stopped %d processes and containers, removed %s\n", killed, o.dir)
	return forgetImage(ctx, out, o.dir)
}

// play is the demonstration itself.
func (s *stage) play(ctx context.Context) error {
	if err := s.startNodes(ctx); err != nil {
		return err
	}
	asked := s.lab.Nodes()[0]
	if err := s.submit(ctx, asked); err != nil {
		return err
	}
	tasks, err := s.awaitPlaced(ctx, asked)
	if err != nil {
		return err
	}
	if err := s.tellSheet(ctx, asked, tasks[0].ID); err != nil {
		return err
	}
	return s.killAndHeal(ctx, asked, tasks)
}

// end stops everything and looks whether it is gone. It takes its own time: a
// demonstration that was interrupted leaves nothing either.
func (s *stage) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir := s.lab.Dir()
	if err := errors.Join(s.lab.Close(), s.ground.close(ctx)); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	left, err := s.lab.Procs()
	if err != nil {
		return err
	}
	containers, images, err := s.ground.left(ctx, s.lab)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, n := range s.lab.Nodes() {
		if n.Running() {
			return fmt.Errorf("stop: the agent of %s is left", n.Name)
		}
	}
	sum := fmt.Sprintf("%d processes, %d files", len(left), len(files))
	if s.ground.engine != nil {
		sum = fmt.Sprintf("%d processes, %d containers, %d images, %d files", len(left), containers, images, len(files))
	}
	if len(left)+containers+images+len(files) > 0 {
		return fmt.Errorf("stop: %s are left", sum)
	}
	s.tell("stopped, nothing left behind: %s", sum)
	return nil
}

// mostLoaded is the node with most of the tasks; among equals, first.
func mostLoaded(lab *scenarios.Lab, tasks []api.Task, first *scenarios.Node) (*scenarios.Node, []api.Task) {
	held := map[api.NodeID][]api.Task{}
	for _, t := range tasks {
		held[t.Node] = append(held[t.Node], t)
	}
	best := first
	for _, n := range lab.Nodes() {
		if len(held[n.ID()]) > len(held[best.ID()]) {
			best = n
		}
	}
	return best, held[best.ID()]
}
