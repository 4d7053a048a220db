package runtime

import (
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Delays of restarts in place: the first comes after restartBase, each further
// one after twice the time before it, at most restartMax.
const (
	restartBase = time.Second
	restartMax  = 5 * time.Minute
)

// Verdict is what is to be done about a task that has ended.
type Verdict struct {
	State api.TaskState // Running: start it again; else the final state of the epoch
	Delay time.Duration // before starting again
}

// Next is the restart policy: given the job, how its task ended, and how often it
// was already restarted in this epoch, it says what becomes of the task. A batch
// task that ended well is complete. A service that may not be restarted counts as
// failed, however it ended, since it is wanted.
func Next(job api.Job, exitCode, restarts int) Verdict {
	good := exitCode == 0
	if job.Type == api.BatchJob && good {
		return Verdict{State: api.Complete}
	}
	again := job.Restart.Policy == "on-failure" && !good ||
		job.Restart.Policy == "always"
	if !again || restarts >= job.Restart.Attempts {
		return Verdict{State: api.Failed}
	}
	delay := restartMax
	if restarts < 16 {
		delay = min(restartBase<<restarts, restartMax)
	}
	return Verdict{State: api.Running, Delay: delay}
}
