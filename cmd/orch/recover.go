package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// A recoverCommand is orch recover.
type recoverCommand struct {
	env *Env
	form
	node    string
	detach  bool
	timeout seconds
}

func newRecoverCommand(env *Env) *cobra.Command {
	r := &recoverCommand{env: env, timeout: seconds(2 * time.Minute)}
	cmd := &cobra.Command{
		Use:   "recover [JOB|FILE...]",
		Short: "List or restore jobs that nodes set aside after a long absence",
		Long: `List the jobs that nodes have set aside or, with names of jobs or files, restore them.

A removal is forgotten when it is a day old and every member has heard of it. A node
that comes back later with a job that the others do not know cannot tell whether it
was removed. It takes such jobs out of its table, puts them into a file and says so.

A job that is restored is made anew as it was: with the same specification, placed
like any other. A batch job runs again from its beginning. While a job of that name
is there it is refused (orch rm removes that one). What is not wanted any more can
be left where it is, or its file be deleted on its node.`,
		Example: `  orch recover
  orch recover web
  orch recover --node vps2 aside-1767355200000.json`,
		Args:              asideNames,
		ValidArgsFunction: completeNames(env, []string{wordAside}),
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 0 {
				return r.list(cmd)
			}
			return r.restore(cmd, words)
		},
	}
	r.form.register(cmd, "table")
	f := cmd.Flags()
	f.StringVar(&r.node, "node", "", "only what this `NODE` has set aside")
	f.BoolVarP(&r.detach, "detach", "d", false, "do not wait until the tasks of restored jobs run")
	f.Var(&r.timeout, "timeout", "how long to wait for each job; 0 is for ever")
	return cmd
}

// asideFile is what the files are called.
var asideFile = regexp.MustCompile(`^aside-[0-9]+\.json$`)

// asideNames refuses words that name neither a job nor a file of what is set aside.
func asideNames(cmd *cobra.Command, words []string) error {
	seen := map[string]bool{}
	for _, word := range words {
		if !asideFile.MatchString(path.Base(word)) {
			if err := checkJobName(cmd, word); err != nil {
				return err
			}
		}
		if seen[word] {
			return usageError(cmd, "%s is given twice", word)
		}
		seen[word] = true
	}
	return nil
}

func (r *recoverCommand) list(cmd *cobra.Command) error {
	if err := checkForm[api.Aside](&r.form, r.env, cmd); err != nil {
		return err
	}
	return ask(r.env, cmd, func(ctx context.Context, c client) error {
		all, err := r.read(ctx, c)
		if err != nil && len(all.entries) == 0 {
			return err
		}
		all.body = all.joined()
		if err := asideKind(r.env).print(r.env.Stdout, &r.form, all); err != nil {
			return err
		}
		return err
	})
}

// read asks all nodes, or the one of --node, and warns of those that cannot say. One
// that should and does not keeps nothing from being read of the others.
func (r *recoverCommand) read(ctx context.Context, c client) (answer[api.Aside], error) {
	var all answer[api.Aside]
	nodes, err := c.Nodes(ctx)
	if r.node != "" {
		var n api.Node
		n, err = c.Node(ctx, r.node)
		nodes = []api.Node{n}
	}
	if err != nil {
		return all, cannot("list what is set aside", err, r.env.Now())
	}
	var errs []error
	for _, n := range nodes {
		if !isAlive(n) {
			fmt.Fprintf(r.env.Stderr, "warning: %s is %s: what it may have set aside is not known\n", clean(n.Name), n.Status)
			continue
		}
		a, err := readAll[api.Aside](ctx, c, rest.AsidePath(n.ID), nil)
		if err != nil {
			errs = append(errs, cannot("list what "+n.Name+" has set aside", err, r.env.Now()))
		}
		all.entries = append(all.entries, a.entries...)
	}
	return all, join(errs)
}

// restore restores all that words name, then waits for each. One that is refused
// keeps none of the others from being restored.
func (r *recoverCommand) restore(cmd *cobra.Command, words []string) error {
	if !cmd.Flags().Changed("output") {
		r.output = "name"
	}
	if err := checkForm[api.Job](&r.form, r.env, cmd); err != nil {
		return err
	}
	return with(r.env, cmd, func(ctx context.Context, c client) error {
		limited, cancel := context.WithTimeout(ctx, answerLimit)
		all, err := r.read(limited, c)
		cancel()
		if err != nil && len(all.entries) == 0 {
			return err
		}
		chosen, errs := choose(all, words)
		if err != nil && len(errs) > 0 {
			errs = append(errs, err) // that may be why
		}
		var made []*progress
		for _, a := range chosen {
			p, err := r.write(ctx, c, a)
			if err != nil {
				errs = append(errs, cannot("restore "+a.Job, err, r.env.Now()))
				continue
			}
			if made = append(made, p); a.Stopped {
				fmt.Fprintf(r.env.Stderr, "%s was stopped, and stays so. orch restart %s starts it\n", a.Job, a.Job)
			}
		}
		for _, p := range made {
			if err := r.finish(ctx, c, p); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return join(errs)
	})
}

// choose is what words name: of a job its latest version, of a file all its jobs.
func choose(all answer[api.Aside], words []string) (chosen []api.Aside, missing []error) {
	best := map[string]api.Aside{}
	take := func(a api.Aside) {
		if b, ok := best[a.Job]; !ok || cmp.Or(cmp.Compare(a.Life, b.Life), cmp.Compare(a.Spec.Generation, b.Spec.Generation)) > 0 {
			best[a.Job] = a
		}
	}
	for _, word := range words {
		found := false
		for _, e := range all.entries {
			if a := e.value; a.Spec != nil && (a.Job == word || a.File == path.Base(word)) {
				take(a)
				found = true
			}
		}
		if !found {
			missing = append(missing, api.Errorf(api.JobNotFound, "nothing like %s is set aside", word).WithHint("orch recover lists what is"))
		}
	}
	for _, a := range best {
		chosen = append(chosen, a)
	}
	slices.SortFunc(chosen, func(a, b api.Aside) int { return cmp.Compare(a.Job, b.Job) })
	return chosen, missing
}

func (r *recoverCommand) write(ctx context.Context, c client, a api.Aside) (*progress, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	asked := r.env.Now()
	w, err := c.Restore(ctx, string(a.Node), api.Restoring{Job: a.Job, File: a.File}, api.WriteOptions{})
	var taken *api.Error
	if errors.As(err, &taken) && taken.Code == api.JobExists {
		err = taken.WithHint("orch inspect %s shows the job that is there; orch rm %s removes it", a.Job, a.Job)
	}
	if err != nil {
		return nil, err
	}
	p := newProgress(r.env, c, a.Job)
	p.place = true
	p.stored(w, r.env.Now().Sub(asked))
	return p, nil
}

// finish waits until a job that was restored runs, and prints it.
func (r *recoverCommand) finish(ctx context.Context, c client, p *progress) error {
	if l, err := lookAt(ctx, c, p.name); !r.detach && (err != nil || !isStopped(l)) {
		w := &wait{env: r.env, c: c, timeout: time.Duration(r.timeout), progress: p}
		if err := w.untilAsAsked(ctx, p.name, nil); err != nil {
			return err
		}
	}
	return printJob(ctx, r.env, c, &r.form, p.name)
}

// asideKind is how that which is set aside is printed.
func asideKind(env *Env) kind[api.Aside] {
	state := func(a api.Aside) string {
		switch {
		case a.Spec == nil:
			return "unreadable"
		case a.Taken:
			return "name taken"
		case a.Stopped:
			return "stopped"
		case a.Spec.Type == api.BatchJob:
			return fmt.Sprintf("%d of %d complete", a.Complete, a.Spec.Replicas)
		}
		return "set aside"
	}
	of := func(read func(*api.Job) string) func(api.Aside) string {
		return func(a api.Aside) string {
			if a.Spec == nil {
				return "-"
			}
			return cmp.Or(read(a.Spec), "-")
		}
	}
	return kind[api.Aside]{
		name: func(a api.Aside) string { return cmp.Or(a.Job, a.File) },
		columns: []column[api.Aside]{
			{head: "JOB", key: "job", cell: func(a api.Aside) string { return cmp.Or(a.Job, "-") }},
			{head: "NODE", key: "node", cell: func(a api.Aside) string { return a.NodeName }, value: func(a api.Aside) string { return string(a.Node) }},
			{head: "SET ASIDE", key: "time", age: true, cell: func(a api.Aside) string { return ago(env.Now(), a.Time) },
				value: func(a api.Aside) string { return moment(a.Time) }},
			{head: "TYPE", key: "type", cell: of(func(j *api.Job) string { return string(j.Type) })},
			{head: "REPLICAS", key: "replicas", cell: of(func(j *api.Job) string { return strconv.Itoa(j.Replicas) })},
			{head: "IMAGE", key: "image", wide: true, cell: of(func(j *api.Job) string { return j.Image })},
			{head: "STATE", key: "state", cell: state},
			{head: "FILE", key: "file", cell: func(a api.Aside) string { return a.File }},
			{head: "PATH", key: "path", wide: true, cell: func(a api.Aside) string { return a.Path }},
			{head: "WHY", key: "reason", cell: func(a api.Aside) string { return a.Reason }},
		},
	}
}
