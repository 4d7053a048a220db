package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
)

// commands are all below cmd that can be run and are shown, itself included.
func commands(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	if cmd.Runnable() && !cmd.Hidden {
		all = append(all, cmd)
	}
	for _, c := range cmd.Commands() {
		all = append(all, commands(c)...)
	}
	return all
}

// testRoot is the tree of commands as help shows it.
func testRoot() *cobra.Command {
	env := &Env{Stdin: strings.NewReader(""), Stdout: &terminal{}, Stderr: &terminal{}, Getenv: func(string) string { return "" },
		IsTerminal: func(any) bool { return false }}
	return newRoot(env)
}

func TestHelp(t *testing.T) {
	for _, line := range []string{"", "--help", "help", "help run", "run --help", "node", "help node rm", "help formats", "formats", "help environment"} {
		if got := orch(&fake{}, strings.Fields(line)...); got.code != 0 || !strings.Contains(got.out, "orch") || got.err != "" {
			t.Errorf("orch %s: got %s", line, got.text())
		}
	}
	first := orch(&fake{}).out
	for _, want := range []string{"orch: containers on your machines, with no master.\n", "  orch run --name web", "\nAGENT", "\nNODES", "\nJOBS", "\nLOOK", "exit-codes"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first screen lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(first, "\nCommands:") {
		t.Errorf("a command is in no group:\n%s", first)
	}
}

// TestHelpOfEachCommand: each tells what it does in a line, and shows how.
func TestHelpOfEachCommand(t *testing.T) {
	root := testRoot()
	for _, cmd := range commands(root) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the first words are %q, want some, without a full stop", cmd.CommandPath(), cmd.Short)
		}
		if cmd == root || cmd.HasSubCommands() || cmd.Parent().Name() == "completion" {
			continue
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "orch ") {
				t.Errorf("%s: the example %q is not indented, or not of orch", cmd.CommandPath(), line)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	evil := exampleCluster()
	evil.nodes[0].Name = "vps1\x1b[2J"
	down := exampleCluster()
	down.err = errUnreachable()
	for _, c := range []struct {
		f    *fake
		line string
		want []string
	}{
		{exampleCluster(), "stop ", []string{"nightly", "web", ":4"}},
		{exampleCluster(), "stop w", []string{"web", ":4"}},
		{exampleCluster(), "update n", []string{"nightly", ":4"}},
		{exampleCluster(), "rm web ", []string{"nightly", ":4"}},
		{exampleCluster(), "scale w", []string{"web=", ":6"}},
		{exampleCluster(), "explain web", []string{"web", "web.0", "web.1", "web.2", ":4"}},
		{exampleCluster(), "inspect vps", []string{"vps1", "vps2", ":4"}},
		{recoverable(), "recover ", []string{"aside-1.json", "aside-2.json", "nightly", "web", ":4"}},
		{recoverable(), "recover n", []string{"nightly", ":4"}},
		{exampleCluster(), "node drain h", []string{"home", ":4"}},
		{exampleCluster(), "node drain 8", []string{"8Qm3vT4k", ":4"}},
		{evil, "node drain vps", []string{"vps2", ":4"}},
		{exampleCluster(), "ps -o ", []string{"table", "wide", "json", "ndjson", "csv", "name", ":4"}},
		{exampleCluster(), "ps --filter ", []string{"job=", "node=", "state=", ":6"}},
		{exampleCluster(), "run --pull ", []string{"missing", "always", "never", ":4"}},
		{exampleCluster(), "run --type ", []string{"service", "batch", ":4"}},
		{exampleCluster(), "inspect --type ", []string{"task", "job", "node", ":4"}},
		{exampleCluster(), "--color ", []string{"auto", "always", "never", ":4"}},
		{exampleCluster(), "version ", []string{":4"}},
		{down, "stop ", []string{":4"}},
		{down, "--api nowhere stop ", []string{":4"}},
	} {
		got := orch(c.f, append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(c.line, " ")...)...)
		lines := strings.Split(strings.TrimSpace(got.out), "\n")
		slices.Sort(lines)
		slices.Sort(c.want)
		if !slices.Equal(lines, c.want) || got.code != 0 || strings.Contains(got.err, "error") {
			t.Errorf("%q: got %q (%s)\nwant %q", c.line, lines, got.err, c.want)
		}
	}
}

func TestCompletionOfShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := orch(&fake{}, "completion", shell); got.code != 0 || !strings.Contains(got.out, "orch") {
			t.Errorf("%s: got %s", shell, got.text())
		}
	}
	if got := orch(withJobs(func(int) ([]api.Task, error) { return nil, nil }, "web"), cobra.ShellCompNoDescRequestCmd, "logs", ""); got.out != "web\n:4\n" {
		t.Errorf("logs: got %s", got.text())
	}
}
