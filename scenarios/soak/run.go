package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// Config says what is done to which cluster.
type Config struct {
	Lab    *scenarios.Lab // its nodes have started
	Seed   uint64
	Jobs   int
	Faults int           // in all
	Over   time.Duration // in which they happen
	Rounds int           // after each of them everything is healed and looked at
	Kinds  []Kind
	Settle time.Duration // how long that may take to be as it should
	Quiet  time.Duration // at the end, in which nothing may happen
	Log    io.Writer
}

// How often the process table is looked at, and how much is asked for.
const (
	sampleEvery = 200 * time.Millisecond
	workers     = 4
	workerPause = 1500 * time.Millisecond
)

// Run has faults happen to a lab and returns what it saw. The error says what was wrong,
// of the cluster or of the run itself; the report is good either way.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	names := nameJobs(cfg.Jobs)
	r := &runner{cfg: cfg, names: names, jn: newJournal(names), seen: newWatch(), Report: &Report{Config: cfg, Steps: map[Kind]int{}}}
	r.wl = newWorkload(cfg.Lab, r.jn, names, cfg.Seed)
	r.tm = newTormentor(cfg.Lab, r.wl, r.agree)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := r.run(ctx)
	if err != nil {
		r.tm.mendAll(context.WithoutCancel(ctx))
	}
	r.sum()
	return r.Report, errors.Join(err, r.wrongs())
}

type runner struct {
	cfg   Config
	names []string
	jn    *journal
	wl    *workload
	tm    *tormentor
	*Report

	mu   sync.Mutex // guards seen
	seen *watch
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.cfg.Log, time.Now().Format("15:04:05.000 ")+"soak: "+format+"\n", args...)
}

func (r *runner) run(ctx context.Context) error {
	if err := r.wl.submitAll(ctx); err != nil {
		return err
	}
	if _, err := r.settle(ctx); err != nil {
		return fmt.Errorf("before anything has happened: %w", err)
	}
	var err error
	if r.Before, err = vitalsOf(ctx, r.cfg.Lab); err != nil {
		return err
	}
	if slices.Contains(r.cfg.Kinds, OldDisk) {
		if err := r.tm.copyDisks(ctx); err != nil {
			return err
		}
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watcher errgroup.Group
	watcher.Go(func() error { return r.watch(watching) })
	for round := range r.cfg.Rounds {
		if err := r.round(ctx, round); err != nil {
			return err
		}
	}
	stop()
	if err := watcher.Wait(); err != nil {
		return err
	}
	for _, g := range r.seen.gaps {
		if g.Cause == "" {
			r.say("%s was nowhere for %s from %s on, and nothing ailed %s", g.Task, g.For.Round(time.Millisecond), g.Since.Format("15:04:05.000"), g.Node.Short())
		}
	}
	if err := r.quiet(ctx); err != nil {
		return err
	}
	return r.clearUp(ctx)
}

// round has faults happen, heals everything, and looks.
func (r *runner) round(ctx context.Context, round int) error {
	share := func(of int) int { return of*(round+1)/r.cfg.Rounds - of*round/r.cfg.Rounds }
	steps := Schedule(Plan{
		Seed: r.cfg.Seed + uint64(round)<<32, Nodes: len(r.cfg.Lab.Nodes()), Faults: share(r.cfg.Faults),
		Over: r.cfg.Over / time.Duration(r.cfg.Rounds), Kinds: r.cfg.Kinds,
	})
	r.say("round %d of %d: %d faults", round+1, r.cfg.Rounds, len(steps))
	for _, s := range steps {
		fmt.Fprintln(r.cfg.Log, "    "+s.String())
		r.Steps[s.Kind]++
	}
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { r.wl.run(working, workers, workerPause) })
	err := r.tm.carryOut(ctx, steps)
	stop()
	work.Wait()
	if err != nil {
		return fmt.Errorf("in round %d: %w", round+1, err)
	}
	took, err := r.settle(ctx)
	if err != nil {
		return fmt.Errorf("after round %d: %w", round+1, err)
	}
	r.say("round %d settled after %s", round+1, took.Round(time.Millisecond))
	r.Settled = append(r.Settled, took)
	return nil
}

// settle waits until everything is as it should be, and returns how long it took.
func (r *runner) settle(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Settle)
	defer cancel()
	began, told := time.Now(), time.Now()
	err := scenarios.Eventually(ctx, "everything is as it should be", func() error {
		err := r.look(ctx)
		if err != nil && time.Since(told) > tellEvery {
			told = time.Now()
			r.say("not settled: %s", firstLines(err, 3))
		}
		return err
	})
	return time.Since(began), err
}

// tellEvery is how often it is told what a cluster that does not settle lacks.
const tellEvery = 3 * time.Second

func firstLines(err error, n int) string {
	lines := strings.Split(err.Error(), "\n")
	return strings.Join(lines[:min(n, len(lines))], "; ")
}

// look says what is wrong at this instant.
func (r *runner) look(ctx context.Context) error {
	accounts, err := r.accounts(ctx)
	if err != nil {
		return err
	}
	copies, err := copiesIn(r.cfg.Lab)
	if err != nil {
		return err
	}
	wrong := verdict(accounts, copies, r.names, r.jn.judge)
	if len(wrong) > 20 {
		wrong = append(wrong[:20], fmt.Sprintf("and %d more", len(wrong)-20))
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

// accounts are what all nodes say.
func (r *runner) accounts(ctx context.Context) ([]Account, error) {
	nodes := r.cfg.Lab.Nodes()
	all := make([]Account, len(nodes))
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askFor)
			defer cancel()
			jobs, err := n.Service().Jobs(ctx)
			if err != nil {
				return fmt.Errorf("ask %s: %w", n.Name, err)
			}
			tasks, err := n.Service().Tasks(ctx, api.TaskFilter{})
			if err != nil {
				return fmt.Errorf("ask %s: %w", n.Name, err)
			}
			all[i] = Account{Node: n.Name, ID: n.ID(), Jobs: jobs, Tasks: tasks}
			return nil
		})
	}
	return all, g.Wait()
}

// agree says in what the nodes do not agree about jobs.
func (r *runner) agree(ctx context.Context) error {
	if err := r.cfg.Lab.AwaitReady(ctx); err != nil {
		return err
	}
	accounts, err := r.accounts(ctx)
	if err != nil {
		return err
	}
	for i := range accounts {
		accounts[i].Tasks = nil
		if wrong := differ(accounts[0], accounts[i]); len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "\n"))
		}
	}
	return nil
}

// watch samples the process table until ctx ends.
func (r *runner) watch(ctx context.Context) error {
	always := map[string]bool{}
	for _, name := range r.names {
		for _, c := range r.jn.may(name) {
			for i := range c.replicas {
				always[fmt.Sprintf("%s.%d", name, i)] = roleOf(name) == steady
			}
		}
	}
	maps.DeleteFunc(always, func(_ string, steady bool) bool { return !steady })
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for last := false; ; {
		copies, err := copiesIn(r.cfg.Lab)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.tm.offers(r.seen.offers)
		r.seen.take(sample{
			at: time.Now(), copies: copies, always: always, ails: r.tm.cause,
			single: func(task string) bool { return roleOf(task) == frozen },
		})
		r.mu.Unlock()
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			last = true // what has come back meanwhile has come back
		case <-tick.C:
		}
	}
}

// quiet wants nothing to happen for a while: no process comes or goes, and nobody says
// that it started something, or held an auction.
func (r *runner) quiet(ctx context.Context) error {
	r.say("quiet for %s", r.cfg.Quiet)
	before, err := r.activity(ctx)
	if err != nil {
		return err
	}
	dirs, err := r.dirs()
	if err != nil {
		return err
	}
	if err := scenarios.Throughout(ctx, r.cfg.Quiet, func() error {
		now, err := r.dirs()
		if err == nil && !maps.Equal(now, dirs) {
			err = fmt.Errorf("the copies became %v, want %v", now, dirs)
		}
		return err
	}); err != nil {
		return fmt.Errorf("in the quiet: %w", err)
	}
	after, err := r.activity(ctx)
	if err == nil && !maps.Equal(before, after) {
		err = fmt.Errorf("in the quiet: what was done became %v, want %v", after, before)
	}
	return err
}

func (r *runner) dirs() (map[string]bool, error) {
	copies, err := copiesIn(r.cfg.Lab)
	all := map[string]bool{}
	for _, c := range copies {
		all[c.Dir] = true
	}
	return all, err
}

// activity is what all nodes have done since they started.
func (r *runner) activity(ctx context.Context) (map[string]float64, error) {
	sums := map[string]float64{}
	for _, n := range r.cfg.Lab.Alive() {
		metrics, err := metricsOf(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"orch_task_starts_total", "orch_task_stops_total", "orch_auction_slots_total"} {
			sums[name] += metrics[name]
		}
	}
	return sums, nil
}

// clearUp removes what was changed, and looks whether the agents are as they were.
func (r *runner) clearUp(ctx context.Context) error {
	if err := r.wl.removeAll(ctx); err != nil {
		return err
	}
	if _, err := r.settle(ctx); err != nil {
		return fmt.Errorf("after everything was removed: %w", err)
	}
	var base vitals
	for _, v := range r.Before {
		base = base.max(v)
	}
	return scenarios.Eventually(ctx, "the agents are as at the beginning", func() (err error) {
		if r.After, err = vitalsOf(ctx, r.cfg.Lab); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(r.After)) {
			if why := r.After[name].grown(base); why != "" {
				err = errors.Join(err, fmt.Errorf("%s uses %s", name, why))
			}
		}
		return err
	})
}

// wrongs are faults that were seen on the way.
func (r *runner) wrongs() error {
	var errs []error
	for _, f := range r.seen.faults {
		errs = append(errs, errors.New(f))
	}
	for _, task := range r.seen.missing() {
		errs = append(errs, fmt.Errorf("%s has not come back", task))
	}
	for _, f := range r.cfg.Lab.Fallen() {
		errs = append(errs, errors.New(f))
	}
	for _, n := range r.cfg.Lab.Nodes() {
		errs = append(errs, cries(n))
	}
	return errors.Join(errs...)
}

// cries are lines that must not be in the log of an agent.
func cries(n *scenarios.Node) error {
	log, err := os.ReadFile(n.LogFile())
	if err != nil {
		return err
	}
	for _, bad := range []string{"panic:", "fatal error:", "DATA RACE", "level=panic", "has not looked at its tasks"} {
		if at := strings.Index(string(log), bad); at >= 0 {
			return fmt.Errorf("%s says: %.4000s", n.Name, log[max(0, at-200):])
		}
	}
	return nil
}
