package rest_test

import (
	"context"
	"time"

	"github.com/exitae337/orchestergo/api"
)

func (f *fake) Events(ctx context.Context, filter api.EventFilter, each func(api.Event) error) error {
	if err := f.call("events"); err != nil {
		return err
	}
	f.mu.Lock()
	f.wanted = append(f.wanted, filter)
	kept, happens := f.events, f.happens
	f.mu.Unlock()
	for _, e := range kept {
		if err := each(e); err != nil {
			return err
		}
	}
	for filter.Follow && happens != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-happens:
			if !ok {
				return nil
			}
			if err := each(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fake) WaitJob(ctx context.Context, name string, goal api.Goal) (api.Job, bool, error) {
	if err := f.call("wait ", name, " ", goal); err != nil {
		return api.Job{}, false, err
	}
	job, err := f.get(name)
	if err != nil || !f.inVain {
		return job, err == nil, err
	}
	<-ctx.Done()
	return job, false, nil
}

func oneEvent() api.Event {
	return api.Event{ID: "boot.7", Type: api.EventTaskRunning, Time: noon, Seen: noon.Add(time.Millisecond), MonoNS: 12, UID: "9f3ac1d2",
		Message: "web.0@2 on n1  after 3s", Job: "web", Life: 1, Task: "web.0", Epoch: 2, Node: nodeA, NodeName: "n1"}
}
