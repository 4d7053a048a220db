package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exitae337/orchestergo/api"
)

// An updateCommand is orch update.
type updateCommand struct {
	changer
	spec     specFlags
	image    string
	envRm    []string
	labelRm  []string
	flags    []string // that change something
	template string   // what its tasks are to be made of, once that is known
}

func newUpdateCommand(env *Env) *cobra.Command {
	u := &updateCommand{changer: changer{env: env, verb: "update", timeout: seconds(10 * time.Minute)}}
	cmd := &cobra.Command{
		Use:   "update [flags] JOB [-- CMD...]",
		Short: "Change a job and wait until its tasks are replaced",
		Long: `Change a job, and wait until its tasks are replaced.

What is not given stays as it is; -p, -v and --device replace all that there is of
their kind, -e and -l add to it. Words after -- are the new command. Tasks are
replaced one after the other, --max-parallel at once, and each new one runs before
the old one stops. What no task is made of, as --replicas and labels, restarts
none. A batch job is not changed but begun anew.

Whoever else changes the job at the same time is not overwritten: if both changed
the same, update ends with exit code 4.`,
		Example: `  orch update web --image nginx:1.28
  orch update web -e LEVEL=debug --env-rm TRACE --max-parallel 2
  orch update tick -- sh -c 'while sleep 5; do date; done'`,
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) > 1 && cmd.ArgsLenAtDash() != 1 {
				return usageError(cmd, "%q: write the new command after --, the image as --image", words[1])
			}
			return jobNames(cmd, words[:min(1, len(words))])
		},
		RunE: u.run,
	}
	f := cmd.Flags()
	f.StringVar(&u.image, "image", "", "the new `IMAGE`")
	f.StringArrayVar(&u.envRm, "env-rm", nil, "remove the variable `K`")
	f.StringArrayVar(&u.labelRm, "label-rm", nil, "remove the label `K`")
	u.spec.registerChangeable(cmd)
	for _, name := range []string{"replicas", "restart", "on-partition", "max-parallel", "pull"} { // the default is to leave it
		f.Lookup(name).DefValue = ""
	}
	f.VisitAll(func(one *pflag.Flag) { u.flags = append(u.flags, one.Name) })
	u.changer.register(cmd)
	return cmd
}

func (u *updateCommand) run(cmd *cobra.Command, words []string) error {
	name, command := words[0], words[1:]
	edit := func(job api.Job) (api.Job, error) { return u.edit(cmd, job, command) }
	if _, err := edit(api.NewJob()); err != nil { // of the flags, before anybody is asked
		return err
	}
	if len(command) == 0 && !slices.ContainsFunc(u.flags, cmd.Flags().Changed) {
		return usageError(cmd, "nothing to change is given")
	}
	return u.changer.run(cmd, []change{{
		name: name,
		write: func(ctx context.Context, c client) (api.Written, error) {
			w, err := put(ctx, c, name, edit)
			u.template = w.Job.Template
			return w, err
		},
		settle: u.settle,
	}})
}

// edit is job as the command line wants it.
func (u *updateCommand) edit(cmd *cobra.Command, job api.Job, command []string) (api.Job, error) {
	job.Env, job.Labels = maps.Clone(job.Env), maps.Clone(job.Labels)
	for _, key := range u.envRm {
		delete(job.Env, key)
	}
	for _, key := range u.labelRm {
		delete(job.Labels, key)
	}
	if cmd.Flags().Changed("image") {
		job.Image = u.image
	}
	if len(command) > 0 {
		job.Command = command
	}
	return job, u.spec.change(u.env, cmd, &job)
}

// settle waits until no task is left that has to be replaced.
func (u *updateCommand) settle(ctx context.Context, w *wait, before look) error {
	if isStopped(before) {
		fmt.Fprintf(w.env.Stderr, "%s is stopped, and stays so. orch restart %s starts it\n", before.name, before.name)
		return nil
	}
	old := templates(before)
	delete(old, u.template)
	w.stable, w.progress.place = time.Second, true
	return w.untilAsAsked(ctx, before.name, old)
}

// put replaces a job by what edit makes of it. When somebody else has changed it
// since it was read, and not the same fields, it is edited once more.
func put(ctx context.Context, c client, name string, edit func(api.Job) (api.Job, error)) (api.Written, error) {
	read, err := c.Job(ctx, name)
	if err != nil {
		return api.Written{}, err
	}
	next, err := edit(read)
	if err != nil {
		return api.Written{}, err
	}
	w, err := c.Put(ctx, next, api.WriteOptions{IfMatch: read.ETag})
	var stale *api.Error
	if !errors.As(err, &stale) || stale.Code != api.Stale || stale.Current == nil {
		return w, err
	}
	theirs := read.Differs(*stale.Current)
	both := slices.DeleteFunc(read.Differs(next), func(field string) bool { return !slices.Contains(theirs, field) })
	if len(both) > 0 {
		return w, api.Errorf(api.Stale, "somebody else changed its %s meanwhile (generation %d)", strings.Join(both, " and "), stale.Current.Generation).
			WithHint("orch inspect %s shows what it is now; repeat the update if it is still wanted", name)
	}
	if next, err = edit(*stale.Current); err != nil {
		return w, err
	}
	return c.Put(ctx, next, api.WriteOptions{IfMatch: stale.Current.ETag})
}
