package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// Output is what a command left behind.
type Output struct {
	Stdout, Stderr string
	Code           int // exit code
	Took           time.Duration
}

// Orch runs the lab's binary as a user would and returns when it has ended; at the
// end of ctx it is killed. A code other than 0 is no error.
func (l *Lab) Orch(ctx context.Context, args ...string) (Output, error) {
	began := time.Now()
	cmd := exec.CommandContext(ctx, l.cfg.Binary, args...)
	cmd.Env = cleanEnv()
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := Output{Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(began)}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		out.Code, err = exit.ExitCode(), nil
	}
	if err != nil {
		return out, fmt.Errorf("orch %s: %w: %s", args[0], err, out.Stderr)
	}
	return out, nil
}
