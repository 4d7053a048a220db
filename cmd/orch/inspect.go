package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// things are the types of what can be inspected, in the order in which a name is
// looked up.
var things = []string{"task", "job", "node"}

// An inspectCommand is orch inspect, and orch node inspect.
type inspectCommand struct {
	env *Env
	form
	only string // one of things; "" is any
}

func newInspectCommand(env *Env) *cobra.Command {
	i := &inspectCommand{env: env}
	cmd := &cobra.Command{
		Use:   "inspect NAME...",
		Short: "Print all that is known of jobs, tasks and nodes",
		Long: `Print all that is known of jobs, tasks and nodes, as a JSON array in the order of
the names. A node is named by its name, its short id or any unique beginning of
its id, or self. Where a job and a node have the same name, it is the job: --type
node asks for the other.`,
		Example: `  orch inspect web
  orch inspect web.0 vps1 --format '{{.Name}}'
  orch inspect --format '{{json .Ports}}' web`,
		RunE: func(cmd *cobra.Command, names []string) error { return i.run(cmd, names) },
	}
	i.register(cmd)
	cmd.Flags().StringVar(&i.only, "type", "", "look only for a `TYPE`: job, task or node")
	complete(cmd, "type", things...)
	return cmd
}

// newNodeInspectCommand is inspect for nodes alone.
func newNodeInspectCommand(env *Env) *cobra.Command {
	i := &inspectCommand{env: env, only: "node"}
	cmd := &cobra.Command{
		Use:     "inspect NODE...|self",
		Short:   "Print all that is known of nodes",
		Long:    "Print all that is known of nodes, as a JSON array. self is the node that is asked.",
		Example: "  orch node inspect self --format '{{.Free.Memory}}'",
		RunE:    func(cmd *cobra.Command, names []string) error { return i.run(cmd, names) },
	}
	i.register(cmd)
	return cmd
}

func (i *inspectCommand) register(cmd *cobra.Command) {
	i.known = []string{"json", "ndjson", "name"}
	i.form.register(cmd, "json")
}

// run prints what it finds; the rest are errors.
func (i *inspectCommand) run(cmd *cobra.Command, names []string) error {
	if err := checkForm[any](&i.form, i.env, cmd); err != nil {
		return err
	}
	if len(names) == 0 {
		return usageError(cmd, "a name is missing: %s", cmd.UseLine())
	}
	if i.only != "" {
		if err := checkWord(cmd, "--type", i.only, things...); err != nil {
			return err
		}
	}
	return ask(i.env, cmd, func(ctx context.Context, c client) error {
		found := answer[any]{}
		var errs []error
		for _, name := range names {
			a, err := i.find(ctx, c, name)
			if err != nil {
				errs = append(errs, cannot(fmt.Sprintf("inspect %.80q", name), err, i.env.Now()))
			}
			found.entries = append(found.entries, a.entries...)
		}
		if err := i.print(cmd, found); err != nil {
			return err
		}
		return join(errs)
	})
}

// print indents the array unless JSON was asked for in so many words.
func (i *inspectCommand) print(cmd *cobra.Command, found answer[any]) error {
	found.body = found.joined()
	if i.output == "json" && !cmd.Flags().Changed("output") {
		var b bytes.Buffer
		if err := json.Indent(&b, found.body, "", "    "); err != nil {
			return err
		}
		found.body = b.Bytes()
	}
	return kind[any]{name: thingName}.print(i.env.Stdout, &i.form, found)
}

func thingName(v any) string {
	switch v := v.(type) {
	case api.Task:
		return v.ID
	case api.Job:
		return v.Name
	case api.Node:
		return v.ID.Short()
	}
	return ""
}

// find looks a name up among what it can be the name of.
func (i *inspectCommand) find(ctx context.Context, c client, name string) (answer[any], error) {
	missing := api.Errorf(api.JobNotFound, "there is no job, task or node of that name")
	for _, thing := range things {
		if i.only != "" && thing != i.only {
			continue
		}
		a, err := findThing(ctx, c, thing, name)
		switch api.CodeOf(err) {
		case api.TaskNotFound, api.JobNotFound, api.NodeNotFound:
			if i.only != "" {
				return a, err
			}
			continue
		}
		return a, err
	}
	return answer[any]{}, missing.WithHint("orch jobs, orch ps --all and orch nodes list what there is")
}

// findThing asks for one thing. What cannot be its name is not there.
func findThing(ctx context.Context, c client, thing, name string) (answer[any], error) {
	switch thing {
	case "task":
		if _, err := api.ParseTaskID(name); err == nil {
			return readThing[api.Task](ctx, c, "/v1/tasks/"+name)
		}
		return answer[any]{}, api.Errorf(api.TaskNotFound, "there is no such task")
	case "job":
		if api.ValidJobName(name) {
			return readThing[api.Job](ctx, c, "/v1/jobs/"+name)
		}
		return answer[any]{}, api.Errorf(api.JobNotFound, "there is no such job")
	}
	if api.ValidNodeName(name) {
		return readThing[api.Node](ctx, c, "/v1/nodes/"+url.PathEscape(name))
	}
	return answer[any]{}, api.Errorf(api.NodeNotFound, "there is no such node")
}

// readThing reads one T as a thing among others.
func readThing[T any](ctx context.Context, c client, path string) (answer[any], error) {
	a, err := readAll[T](ctx, c, path, nil)
	var things answer[any]
	for _, e := range a.entries {
		things.entries = append(things.entries, entry[any]{e.raw, e.value})
	}
	return things, err
}
