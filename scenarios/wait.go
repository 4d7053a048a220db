package scenarios

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pollEvery is how often a condition is looked at. One that takes long to look at is
// looked at less often: an observer that takes more than a fifth of the time would
// measure itself.
const pollEvery = 10 * time.Millisecond

// Eventually looks about every ten milliseconds whether ok is nil, and returns nil
// then. When ctx ends first, the error says what was waited for and what was wrong
// last, or why ctx ended if it has a cause of its own.
func Eventually(ctx context.Context, what string, ok func() error) error {
	began := time.Now()
	for {
		looked := time.Now()
		err := ok()
		if err == nil {
			return nil
		}
		if pause(ctx, looked) != nil {
			if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
				return fmt.Errorf("%s: %w", what, cause)
			}
			return fmt.Errorf("%s: not within %s: %w", what, time.Since(began).Round(time.Millisecond), err)
		}
	}
}

// Throughout looks about every ten milliseconds, for as long as d, whether ok is
// nil, and returns the first error.
func Throughout(ctx context.Context, d time.Duration, ok func() error) error {
	began := time.Now()
	for time.Since(began) < d {
		looked := time.Now()
		if err := ok(); err != nil {
			return fmt.Errorf("after %s: %w", time.Since(began).Round(time.Millisecond), err)
		}
		if err := pause(ctx, looked); err != nil {
			return err
		}
	}
	return nil
}

// pause waits until the next look is due, or fails with ctx.
func pause(ctx context.Context, looked time.Time) error {
	t := time.NewTimer(max(pollEvery, 4*time.Since(looked)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
