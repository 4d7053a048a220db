package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/bidding"
)

// version and commit are set when a release is linked.
var (
	version = "0.1.0-dev"
	commit  = ""
)

// buildVersion describes this program.
func buildVersion() api.Version {
	v := api.Version{
		Version: version,
		Commit:  commit,
		Wire:    [2]int{bidding.WireMin, bidding.WireMax},
		Go:      runtime.Version(),
		OS:      runtime.GOOS,
		Arch:    runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func newVersionCommand(env *Env) *cobra.Command {
	var f form
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Versions of this program and of the node asked",
		Example: `  orch version
  orch version --format '{{.Client.Version}}'`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkForm[versions](&f, env, cmd); err != nil {
				return err
			}
			return ask(env, cmd, func(ctx context.Context, c client) error { return printVersions(ctx, env, c, &f) })
		},
	}
	f.register(cmd, "table")
	return cmd
}

// versions are those of this program and, if there is a node to ask, of the node.
type versions struct {
	Client api.Version  `json:"client"`
	Server *api.Version `json:"server"`
}

// A build is one of them.
type build struct {
	of string
	api.Version
}

// buildKind is how builds are printed.
func buildKind() kind[build] {
	return kind[build]{
		name: func(b build) string { return b.Version.Version },
		columns: []column[build]{
			{head: "OF", key: "of", cell: func(b build) string { return b.of }},
			{head: "VERSION", key: "version", cell: func(b build) string { return b.Version.Version }},
			{head: "WIRE", key: "wire", cell: func(b build) string { return fmt.Sprintf("%d-%d", b.Wire[0], b.Wire[1]) }},
			{head: "GO", key: "go", cell: func(b build) string { return b.Go }},
			{head: "OS/ARCH", key: "platform", cell: func(b build) string { return b.OS + "/" + b.Arch }},
			{head: "COMMIT", key: "commit", cell: func(b build) string { return b.Commit[:min(len(b.Commit), 12)] }},
		},
	}
}

// printVersions leaves the server out when there is none to ask: what the client
// is can be told without.
func printVersions(ctx context.Context, env *Env, c client, f *form) error {
	both := versions{Client: buildVersion()}
	server, err := c.Version(ctx)
	if err == nil {
		both.Server = &server
	}
	if failed := both.print(env.Stdout, c, f); failed != nil {
		return failed
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rest.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(env.Stderr, "no server: %s\n", clean(err.Error()))
		return nil
	}
	return cannot("ask for the server's version", err, env.Now())
}

// print writes one document, or a row for each of the two.
func (v versions) print(out io.Writer, c client, f *form) error {
	if f.output == "json" || f.output == "ndjson" || f.output == "template" {
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return kind[versions]{}.print(out, f, answer[versions]{append(body, '\n'), []entry[versions]{{body, v}}})
	}
	rows := []entry[build]{{value: build{"client", v.Client}}}
	if v.Server != nil {
		name := "server"
		if view, ok := c.View(); ok {
			name += " " + view.Name
		}
		rows = append(rows, entry[build]{value: build{name, *v.Server}})
	}
	return buildKind().print(out, f, answer[build]{entries: rows})
}
