package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// letters of a random name: 32, so that a random byte picks each as often, and
// none that is mistaken for another.
const letters = "abcdefghijkmnpqrstuvwxyz23456789"

// A runCommand is orch run.
type runCommand struct {
	env     *Env
	spec    specFlags
	form    form
	detach  bool
	forRoom bool
	timeout seconds
	stable  seconds
	ifMatch string
	dry     bool
	old     map[string]bool // what the tasks that are to be replaced are made of
}

func newRunCommand(env *Env) *cobra.Command {
	r := &runCommand{env: env, timeout: seconds(10 * time.Minute), stable: seconds(time.Second)}
	cmd := &cobra.Command{
		Use:        "run [flags] IMAGE [CMD...]",
		SuggestFor: []string{"create", "submit", "apply"},
		Short:      "Create a job and wait until it runs",
		Long: `Create a job and wait until it runs.

Flags go before IMAGE; what follows it is the command, as with docker. A service
counts as running once all its tasks are, and still are after --stable. If no
node has room, run ends at once and says why; the job is kept and starts when
room is made. A batch job is waited for until it is complete. Ctrl-C ends the
waiting, not the job.`,
		Example: `  orch run --name web --replicas 3 -p 80:80 -m 256m nginx:1.27
  orch run --driver process --name tick -- sh -c 'while sleep 1; do date; done'
  orch run -f job.json --replicas 5
  orch run --dry-run -f job.json`,
		RunE: func(cmd *cobra.Command, words []string) error { return r.run(cmd, words) },
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	r.spec.register(cmd)
	r.form.register(cmd, "name")
	f.BoolVarP(&r.detach, "detach", "d", false, "do not wait until it runs")
	f.BoolVar(&r.forRoom, "wait", false, "wait for room, too")
	f.Var(&r.timeout, "timeout", "how long to wait; 0 is for ever")
	f.Var(&r.stable, "stable", "how long all must run before that counts")
	f.BoolVar(&r.dry, "dry-run", false, "store nothing; say what would happen, and where or why not")
	f.StringVar(&r.ifMatch, "if-match", "", "replace the job of that name if it has this `ETAG`; * is any")
	return cmd
}

func (r *runCommand) run(cmd *cobra.Command, words []string) error {
	if err := checkForm[api.Job](&r.form, r.env, cmd); err != nil {
		return err
	}
	job, err := r.spec.job(r.env, cmd, words)
	if err != nil {
		return err
	}
	if job.Name == "" {
		job.Name = defaultName(job, randomLetters(4))
	}
	what := "run " + shorten(job.Name, 80)
	if err := job.Validate(); err != nil {
		return cannot(what, err, r.env.Now())
	}
	if r.dry {
		return r.dryRun(cmd, job)
	}
	return with(r.env, cmd, func(ctx context.Context, c client) error {
		asked := r.env.Now()
		written, err := r.submit(ctx, c, job)
		if err != nil {
			return cannot(what, err, r.env.Now())
		}
		p := newProgress(r.env, c, job.Name)
		p.place = true
		p.stored(written, r.env.Now().Sub(asked))
		if !r.detach {
			w := &wait{env: r.env, c: c, timeout: time.Duration(r.timeout), stable: time.Duration(r.stable), forRoom: r.forRoom, progress: p}
			if err := w.untilAsAsked(ctx, job.Name, r.old); err != nil {
				return err
			}
		}
		return printJob(ctx, r.env, c, &r.form, job.Name)
	})
}

// submit creates the job or, with --if-match, replaces it. It takes no longer than
// an answer may.
func (r *runCommand) submit(ctx context.Context, c client, job api.Job) (api.Written, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if r.ifMatch != "" {
		before, err := lookAt(ctx, c, job.Name)
		if err != nil {
			return api.Written{}, err
		}
		w, err := c.Put(ctx, job, api.WriteOptions{IfMatch: r.ifMatch})
		r.old = templates(before)
		delete(r.old, w.Job.Template)
		return w, err
	}
	w, err := c.Submit(ctx, job, api.WriteOptions{})
	var taken *api.Error
	if errors.As(err, &taken) && taken.Code == api.JobExists {
		image := ""
		if job.Image != "" {
			image = " --image " + job.Image
		}
		err = taken.WithHint("orch update %s%s changes that job; orch rm %s removes it; --name gives this one another name", job.Name, image, job.Name)
	}
	return w, err
}

// printJob is the answer of a command that changed a job which is still there.
func printJob(ctx context.Context, env *Env, c client, f *form, name string) error {
	if f.output == "name" {
		_, err := fmt.Fprintln(env.Stdout, name)
		return err
	}
	a, err := readJob(ctx, c, name)
	if err != nil {
		return cannot("show "+name, err, env.Now())
	}
	return jobKind(env).print(env.Stdout, f, a)
}

// readJob asks for one job.
func readJob(ctx context.Context, c client, name string) (answer[api.Job], error) {
	return readAll[api.Job](ctx, c, "/v1/jobs/"+name, nil)
}

// untilAsAsked waits for a verdict and tells of any but the good one.
func (w *wait) untilAsAsked(ctx context.Context, name string, old map[string]bool) error {
	l, v, err := w.judged(ctx, name, old)
	p := w.progress
	switch {
	case ctx.Err() != nil:
		p.clear()
		fmt.Fprintf(w.env.Stderr, "%s goes on without being watched. orch ps %s · orch rm %s\n", name, name, name)
		return ctx.Err()
	case errors.Is(err, errWaitOver):
		l.name = name
		p.verdict(l, fmt.Sprintf("Not as asked after %s; the job goes on without being watched. orch ps %s · orch explain %s", w.timeout, name, name))
		return said(exitWaiting)
	case err != nil:
		p.clear()
		return cannot("watch "+name+", which was accepted", err, w.env.Now())
	}
	switch v {
	case stuck:
		if slices.ContainsFunc(l.slots, func(t api.Task) bool { return t.Stays != "" }) {
			p.verdict(l, fmt.Sprintf("What runs stays until a node fits. orch explain %s · orch update %s", name, name))
			return said(exitWaiting)
		}
		p.verdict(l, fmt.Sprintf("The job is kept and starts when a node fits. orch explain %s · orch rm %s", name, name))
		return said(exitWaiting)
	case failed:
		p.verdict(l, fmt.Sprintf("The job is kept and tried again. orch logs %s · orch explain %s · orch rm %s", name, name, name))
		return said(exitFailed)
	case ended:
		p.clear()
		return api.Errorf(api.Stale, "%s was stopped by somebody meanwhile", name).WithHint("orch restart %s starts it again", name)
	}
	return nil
}

// randomLetters is n letters that nobody can guess.
func randomLetters(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i, v := range b {
		b[i] = letters[int(v)%len(letters)]
	}
	return string(b)
}
