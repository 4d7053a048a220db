package scenarios_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestEventsSurviveTheirNode follows the events of a node that dies: the reader goes
// on at another one, is told that it missed some, and by what it lists then and
// hears from there on it knows in the end how every task is.
func TestEventsSurviveTheirNode(t *testing.T) {
	ctx, lab := startLab(t, 4, scenarios.LabConfig{})
	nodes := lab.Nodes()
	reader, err := rest.NewClient([]string{nodes[0].APIAddr(), nodes[1].APIAddr()}, "")
	must(t, err)
	defer reader.Close()
	var mu sync.Mutex // guards what follows
	last, resets, begun := map[string]api.EventType{}, 0, make(chan struct{})
	following, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- reader.Events(following, api.EventFilter{Follow: true, Types: []api.EventType{"task"}, Job: "web"}, func(e api.Event) error {
			mu.Lock()
			defer mu.Unlock()
			switch e.Type {
			case api.EventMark:
				if begun != nil {
					close(begun)
					begun = nil
				}
			case api.EventReset:
				resets++
				tasks, err := reader.Tasks(ctx, api.TaskFilter{Job: "web"})
				if err != nil {
					return err
				}
				clear(last)
				for _, task := range tasks {
					last[task.ID] = api.EventType("task." + task.State)
				}
			case api.EventTaskSuperseded:
			default:
				last[e.Task] = e.Type
			}
			return nil
		})
	}()
	mu.Lock()
	first := begun
	mu.Unlock()
	if first != nil {
		<-first
	}
	submit(ctx, t, nodes[2], sleeper("web", 8))
	settle(ctx, t, lab, "web", 8, 20*time.Second)
	must(t, lab.KillHost(ctx, nodes[0]))
	settle(ctx, t, lab, "web", 8, 20*time.Second)
	err = scenarios.Eventually(ctx, "the events tell how it is", func() error {
		mu.Lock()
		defer mu.Unlock()
		for i := range 8 {
			if id := fmt.Sprintf("web.%d", i); last[id] != api.EventTaskRunning {
				return fmt.Errorf("%s is %s by the events", id, last[id])
			}
		}
		if resets != 1 || len(last) != 8 {
			return fmt.Errorf("%d resets, %d tasks", resets, len(last))
		}
		return nil
	})
	cancel()
	<-done
	must(t, err)
}
