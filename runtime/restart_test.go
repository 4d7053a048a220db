package runtime_test

import (
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

func TestNext(t *testing.T) {
	again := func(d time.Duration) runtime.Verdict { return runtime.Verdict{State: api.Running, Delay: d} }
	failed, complete := runtime.Verdict{State: api.Failed}, runtime.Verdict{State: api.Complete}
	for _, c := range []struct {
		name           string
		kind           api.JobType
		policy         string
		attempts       int
		code, restarts int
		want           runtime.Verdict
	}{
		{"service ends badly", api.ServiceJob, "always", 3, 1, 0, again(time.Second)},
		{"service ends well, and is wanted", api.ServiceJob, "always", 3, 0, 0, again(time.Second)},
		{"second restart", api.ServiceJob, "always", 3, 1, 1, again(2 * time.Second)},
		{"third restart", api.ServiceJob, "always", 3, 1, 2, again(4 * time.Second)},
		{"restarts used up", api.ServiceJob, "always", 3, 1, 3, failed},
		{"no restarts allowed", api.ServiceJob, "always", 0, 1, 0, failed},
		{"service on-failure ends badly", api.ServiceJob, "on-failure", 3, 1, 0, again(time.Second)},
		{"service on-failure ends well, and is not served", api.ServiceJob, "on-failure", 3, 0, 0, failed},
		{"service never restarted", api.ServiceJob, "no", 3, 1, 0, failed},
		{"batch ends well", api.BatchJob, "always", 3, 0, 0, complete},
		{"batch ends well, whatever the policy", api.BatchJob, "no", 0, 0, 0, complete},
		{"batch ends well after its last restart", api.BatchJob, "on-failure", 3, 0, 3, complete},
		{"batch ends badly", api.BatchJob, "always", 3, 1, 0, again(time.Second)},
		{"batch on-failure ends badly", api.BatchJob, "on-failure", 3, 1, 2, again(4 * time.Second)},
		{"batch never restarted", api.BatchJob, "no", 3, 1, 0, failed},
		{"unknown code counts as bad", api.BatchJob, "on-failure", 3, -1, 0, again(time.Second)},
		{"delay grows to its bound", api.ServiceJob, "always", 1000, 1, 8, again(256 * time.Second)},
		{"delay at its bound", api.ServiceJob, "always", 1000, 1, 9, again(5 * time.Minute)},
		{"delay does not overflow", api.ServiceJob, "always", 1000, 1, 999, again(5 * time.Minute)},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := api.NewJob()
			job.Type, job.Restart = c.kind, api.Restart{Policy: c.policy, Attempts: c.attempts}
			if got := runtime.Next(job, c.code, c.restarts); got != c.want {
				t.Errorf("Next(%s, %s ×%d; code %d, restarts %d) = %+v, want %+v",
					c.kind, c.policy, c.attempts, c.code, c.restarts, got, c.want)
			}
		})
	}
}
