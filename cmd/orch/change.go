package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// A changer has what scale, stop, restart and rm share: they write to one or
// several jobs, and wait until the tasks are as asked.
type changer struct {
	env  *Env
	verb string // for messages: "cannot stop web"
	form
	detach  bool
	timeout seconds
}

// register adds the flags.
func (ch *changer) register(cmd *cobra.Command) {
	if ch.timeout == 0 {
		ch.timeout = seconds(2 * time.Minute)
	}
	f := cmd.Flags()
	ch.form.register(cmd, "name")
	f.BoolVarP(&ch.detach, "detach", "d", false, "do not wait until the tasks are as asked")
	f.Var(&ch.timeout, "timeout", "how long to wait for each job; 0 is for ever")
}

// A change is what is to be done to one job.
type change struct {
	name   string
	write  func(context.Context, client) (api.Written, error)
	settle func(context.Context, *wait, look) error // waits, given the job as it was
}

// A pending is a change that was accepted.
type pending struct {
	change
	before   look
	written  api.Written
	progress *progress
}

// run writes all changes, then waits for each of those that were accepted. One
// that is refused keeps none of the others from being made.
func (ch *changer) run(cmd *cobra.Command, changes []change) error {
	if err := checkForm[api.Job](&ch.form, ch.env, cmd); err != nil {
		return err
	}
	return with(ch.env, cmd, func(ctx context.Context, c client) error {
		var accepted []pending
		var errs []error
		for _, one := range changes {
			p, err := ch.write(ctx, c, one)
			if err != nil {
				errs = append(errs, cannot(ch.verb+" "+one.name, err, ch.env.Now()))
				continue
			}
			accepted = append(accepted, p)
		}
		out := &teller[api.Job]{out: ch.env.Stdout, kind: jobKind(ch.env), form: &ch.form}
		for _, p := range accepted {
			if err := ch.finish(ctx, c, p, out); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if err := out.end(); err != nil {
			errs = append(errs, err)
		}
		return join(errs)
	})
}

// write makes one change.
func (ch *changer) write(ctx context.Context, c client, one change) (pending, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	p := pending{change: one, progress: newProgress(ch.env, c, one.name)}
	var err error
	if p.before, err = lookAt(ctx, c, one.name); err != nil {
		return p, err
	}
	asked := ch.env.Now()
	if p.written, err = one.write(ctx, c); err != nil {
		return p, err
	}
	p.progress.stored(p.written, ch.env.Now().Sub(asked))
	return p, nil
}

// finish waits for one change and prints the answer.
func (ch *changer) finish(ctx context.Context, c client, p pending, out *teller[api.Job]) error {
	if !ch.detach {
		w := &wait{env: ch.env, c: c, timeout: time.Duration(ch.timeout), progress: p.progress}
		if err := p.settle(ctx, w, p.before); err != nil {
			return err
		}
	}
	var a answer[api.Job]
	var err error
	if ch.output == "name" || ch.verb == "remove" { // then there is nothing left to ask for
		a, err = answerOf(p.written.Job)
	} else {
		a, err = readJob(ctx, c, p.name)
	}
	if err != nil {
		return cannot("show "+p.name, err, ch.env.Now())
	}
	return out.tell(a)
}

// untilGone waits until no task of what the job was runs.
func (w *wait) untilGone(ctx context.Context, before look) error {
	name, p := before.name, w.progress
	var life int64
	for _, t := range append(before.slots, before.extra...) {
		life = max(life, t.Life)
		if t.State == api.Lost {
			fmt.Fprintf(w.env.Stderr, "warning: %s was on %s, which is not alive: it is stopped should the node come back\n", t.ID, clean(t.NodeName))
		}
	}
	left, err := w.gone(ctx, name, life)
	switch {
	case ctx.Err() != nil:
		p.clear()
		fmt.Fprintf(w.env.Stderr, "the tasks of %s go on stopping without being watched. orch ps --all %s\n", name, name)
		return ctx.Err()
	case errors.Is(err, errWaitOver):
		p.verdict(left, fmt.Sprintf("Not all stopped after %s; this goes on without being watched. orch ps --all %s", w.timeout, name))
		return said(exitWaiting)
	case err != nil:
		p.clear()
		return cannot("watch "+name+", of which the change was accepted", err, w.env.Now())
	}
	return nil
}

// jobNames refuses a command line without names, or with what cannot be one.
func jobNames(cmd *cobra.Command, words []string) error {
	if len(words) == 0 {
		return usageError(cmd, "the name of a job is missing: %s JOB...", cmd.CommandPath())
	}
	seen := map[string]bool{}
	for _, word := range words {
		if err := checkJobName(cmd, word); err != nil {
			return err
		}
		if seen[word] {
			return usageError(cmd, "%s is given twice", word)
		}
		seen[word] = true
	}
	return nil
}

// checkJobName refuses what cannot name a job, so that it never becomes a path.
func checkJobName(cmd *cobra.Command, word string) error {
	if api.ValidJobName(word) {
		return nil
	}
	if id, err := api.ParseTaskID(word); err == nil {
		return usageError(cmd, "%s is a task; its job is %s", word, id.Job)
	}
	return usageError(cmd, "%.80q is not the name of a job", word)
}
