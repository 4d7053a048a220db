package scenarios

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// healPoll is how often a healing cluster is asked; times are exact to about this.
const healPoll = 5 * time.Millisecond

// Repair tells how a cluster got over the death of a host. Both times are from
// just before the kill until a survivor said so.
type Repair struct {
	Asked   *Node         // who was polled
	Noticed time.Duration // the dead is not ready any more, or a task of it elsewhere
	Healed  time.Duration // all tasks run on survivors
	Tasks   []api.Task    // of the job, then
}

// Heal kills the host of victim and watches, by polling a survivor, until so many
// tasks of the job run again.
func (l *Lab) Heal(ctx context.Context, victim *Node, job string, want int) (Repair, error) {
	var r Repair
	for _, n := range l.Alive() {
		if n != victim {
			r.Asked = n
		}
	}
	if r.Asked == nil {
		return r, errors.New("heal: nobody else is alive")
	}
	l.logf("%s: kill the agent and its tasks, and time it", victim.Name)
	pids := victim.pidsByAPI(ctx)
	began := time.Now()
	killed := make(chan error, 1)
	go func() { killed <- victim.endHost(ctx, pids) }()
	err := r.watch(ctx, began, victim.ID(), api.TaskFilter{Job: job}, want)
	if killErr := <-killed; killErr != nil {
		return r, killErr
	}
	return r, err
}

// watch fills r.
func (r *Repair) watch(ctx context.Context, began time.Time, dead api.NodeID, f api.TaskFilter, want int) error {
	tick := time.NewTicker(healPoll)
	defer tick.Stop()
	for {
		tasks, err := r.Asked.client.Tasks(ctx, f)
		if err != nil {
			return fmt.Errorf("heal: ask %s: %w", r.Asked.Name, err)
		}
		at := time.Since(began)
		running, there := 0, 0
		for _, t := range tasks {
			if t.Node == dead && t.State != api.Lost {
				there++
			} else if t.State == api.Running {
				running++
			}
		}
		if r.Noticed == 0 {
			noticed, err := r.seesDeath(ctx, dead)
			if err != nil {
				return err
			}
			if noticed || (there == 0 && running == want) {
				r.Noticed = at
			}
		}
		if there == 0 && running == want && r.Noticed > 0 {
			r.Healed, r.Tasks = at, tasks
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("heal: %d of %d run after %s: %s", running, want, at.Round(time.Millisecond), Brief(tasks))
		case <-tick.C:
		}
	}
}

func (r *Repair) seesDeath(ctx context.Context, dead api.NodeID) (bool, error) {
	nodes, err := r.Asked.client.Nodes(ctx)
	if err != nil {
		return false, fmt.Errorf("heal: ask %s: %w", r.Asked.Name, err)
	}
	for _, m := range nodes {
		if m.ID == dead {
			return m.Status != api.NodeReady && m.Status != api.NodeDraining, nil
		}
	}
	return true, nil
}
