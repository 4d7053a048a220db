package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Versions of this program and of the node asked",
		Args:  noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(cmd, output, "table", "json"); err != nil {
				return err
			}
			return ask(env, cmd, func(ctx context.Context, c client) error { return printVersions(ctx, env, c, output) })
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	return cmd
}

// printVersions leaves the server out when there is none to ask: what the client
// is can be told without.
func printVersions(ctx context.Context, env *Env, c client, output string) error {
	both := struct {
		Client api.Version  `json:"client"`
		Server *api.Version `json:"server"`
	}{Client: buildVersion()}
	server, err := c.Version(ctx)
	if err == nil {
		both.Server = &server
	}
	if output == "json" {
		if err := json.NewEncoder(env.Stdout).Encode(both); err != nil {
			return err
		}
	} else {
		t := &table{header: []string{"", "VERSION", "WIRE", "GO", "OS/ARCH", "COMMIT"}}
		t.add(versionRow("client", both.Client)...)
		if both.Server != nil {
			name := "server"
			if v, ok := c.View(); ok {
				name += " " + v.Name
			}
			t.add(versionRow(name, server)...)
		}
		if err := t.print(env.Stdout); err != nil {
			return err
		}
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

func versionRow(who string, v api.Version) []string {
	commit := v.Commit
	if len(commit) > 12 {
		commit = commit[:12]
	}
	return []string{who, v.Version, fmt.Sprintf("%d-%d", v.Wire[0], v.Wire[1]), v.Go, v.OS + "/" + v.Arch, commit}
}
