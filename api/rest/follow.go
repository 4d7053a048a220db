package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Times of a client that follows events.
const (
	silence     = 3 * 15 * time.Second   // a stream that says nothing for so long is dead: it has marks
	answerTime  = 200 * time.Millisecond // what an answer takes at the most, as a rule
	lastUIDs    = 200                    // as many as happen in a moment
	retryPause  = 250 * time.Millisecond
	retryGiveUp = 30 * time.Second // without any node to go on with
)

// Events implements api.Service. A stream that is followed survives the node that
// it comes from: it goes on where it was if that node is back, or else at the next
// one. There it begins with an EventReset, and goes on with what that node has kept
// since, without what has been passed on. It ends when no node can be reached for a
// while.
func (c *Client) Events(ctx context.Context, f api.EventFilter, each func(api.Event) error) error {
	var lost time.Time  // since when no stream could be had
	var passed []string // the last uids
	for {
		begun := false
		err := c.readEvents(ctx, f, func(e api.Event) error {
			f.After, f.Since, begun = e.ID, e.Time.Add(-time.Second), true
			if e.UID != "" {
				if slices.Contains(passed, e.UID) {
					return nil
				}
				passed = append(passed[max(0, len(passed)-lastUIDs):], e.UID)
			}
			if err := each(e); err != nil {
				return &stopped{err}
			}
			return nil
		})
		var stop *stopped
		var refused *api.Error
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case !f.Follow, errors.As(err, &refused) && refused.Code != api.NotReady:
			return err
		case begun:
			lost = time.Time{}
		case lost.IsZero():
			lost = time.Now()
		case time.Since(lost) > retryGiveUp:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

// stopped is the error of a reader who wants no more.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

// readEvents reads one stream to its end.
func (c *Client) readEvents(ctx context.Context, f api.EventFilter, each func(api.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	res, err := c.do(ctx, call{method: http.MethodGet, path: withQuery(pathEvents, eventQuery(f)), accept: mediaLines})
	if err != nil {
		return err
	}
	defer res.Body.Close() // also ends a stream that goes on
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLogEntry)
	for lines.Scan() {
		dead.Reset(silence)
		var e api.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Type == "" {
			return fmt.Errorf("events: the answer is not in the form of orch's API: %.200q", lines.Text())
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("events: the connection broke: %w", err)
	}
	return nil
}

// WaitJob implements api.Service. It goes on at the next node when the one that
// it waits at dies.
func (c *Client) WaitJob(ctx context.Context, name string, goal api.Goal) (job api.Job, reached bool, err error) {
	job.Name = name
	for ctx.Err() == nil {
		timeout := defaultWait
		if end, ok := ctx.Deadline(); ok { // the answer takes its time too
			timeout = min(timeout, max(0, time.Until(end)-answerTime))
		}
		q := url.Values{"for": {string(goal)}, "timeout": {timeout.String()}}
		answer, err := get[waited](ctx, c, withQuery(fill(pathWait, name), q))
		if err == nil && answer.Job != nil {
			job, reached = *answer.Job, answer.Reached
		}
		switch {
		case err != nil && ctx.Err() == nil:
			return job, false, err
		case reached, timeout == 0:
			return job, reached, nil
		}
	}
	return job, false, nil
}
