package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exitae337/orchestergo/api"
)

// completionLimit is how long a shell waits for names of the cluster: less than a
// person notices.
const completionLimit = time.Second

// Words that a shell can offer.
const (
	wordJob   = "job"
	wordTask  = "task"
	wordNode  = "node"
	wordScale = "job=" // and a number is to follow
	wordAside = "aside"
)

// wordsOf says what the words of a command can be, of how it is written: those in
// capitals stand for names.
func wordsOf(use string) []string {
	if strings.Contains(use, "NAME") {
		return []string{wordJob, wordTask, wordNode}
	}
	var words []string
	for _, one := range []struct{ capitals, word string }{{"JOB=N", wordScale}, {"JOB", wordJob}, {"TASK", wordTask}, {"NODE", wordNode}} {
		if strings.Contains(use, one.capitals) && !(one.word == wordJob && words != nil) {
			words = append(words, one.word)
		}
	}
	return words
}

// completedFlags says what the values of flags can be, of whatever command.
var completedFlags = map[string][]string{
	"color":        {"auto", "always", "never"},
	"driver":       {"docker", "process"},
	"drivers":      {"docker", "process", "docker,process"},
	"log-format":   {"text", "json"},
	"log-level":    {"debug", "info", "warn", "error"},
	"on-partition": {"replace", "freeze"},
	"output":       {"table", "json"}, // of commands that have no form
	"profile":      {"lan", "fast"},
	"pull":         {"missing", "always", "never"},
	"restart":      {"always", "on-failure", "no"},
	"type":         {"service", "batch"},
}

// registerCompletion has shells complete the words and flags of all commands
// below root, unless a command has done so itself.
func registerCompletion(env *Env, root *cobra.Command) {
	for _, cmd := range root.Commands() {
		registerCompletion(env, cmd)
		switch words := wordsOf(cmd.Use); {
		case cmd.ValidArgsFunction != nil, cmd.Name() == "run": // whose words are files as likely as not
		case len(words) > 0:
			cmd.ValidArgsFunction = completeNames(env, words)
		default:
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { complete(cmd, f.Name, completedFlags[f.Name]...) })
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { complete(root, f.Name, completedFlags[f.Name]...) })
}

// complete has a shell offer values for a flag of cmd. The first to say so has
// said it.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if _, known := cmd.GetFlagCompletionFunc(flag); known || len(values) == 0 {
		return
	}
	how := cobra.ShellCompDirectiveNoFileComp
	if strings.HasSuffix(values[0], "=") {
		how |= cobra.ShellCompDirectiveNoSpace
	}
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, how)) // fails for a flag that is not there
}

// completeNames offers names of the cluster that are not among the words so far.
// Whatever goes wrong, it offers nothing: a shell is no place for errors.
func completeNames(env *Env, words []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		how := cobra.ShellCompDirectiveNoFileComp
		if slices.Contains(words, wordScale) {
			how |= cobra.ShellCompDirectiveNoSpace
		}
		c, err := dial(env, cmd)
		if err != nil {
			return nil, how
		}
		if closer, ok := c.(interface{ Close() }); ok {
			defer closer.Close()
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
		defer cancel()
		var offered []cobra.Completion
		for _, word := range words {
			for _, name := range namesOf(ctx, env, c, word) {
				if strings.HasPrefix(name, typed) && !slices.Contains(args, name) && clean(name) == name {
					offered = append(offered, name)
				}
			}
		}
		return offered, how
	}
}

// namesOf lists the words of one sort, or none.
func namesOf(ctx context.Context, env *Env, c client, word string) []string {
	var names []string
	switch word {
	case wordJob, wordScale:
		a, _ := readAll[api.Job](ctx, c, "/v1/jobs", nil)
		for _, e := range a.entries {
			names = append(names, e.value.Name+strings.TrimPrefix(word, wordJob))
		}
	case wordTask:
		a, _ := readAll[api.Task](ctx, c, "/v1/tasks", nil)
		for _, e := range a.entries {
			names = append(names, e.value.ID)
		}
	case wordAside:
		quiet := *env
		quiet.Stderr = io.Discard
		a, _ := (&recoverCommand{env: &quiet}).read(ctx, c)
		for _, e := range a.entries {
			if e.value.Spec != nil {
				names = append(names, e.value.Job, e.value.File)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	case wordNode:
		a, _ := readAll[api.Node](ctx, c, "/v1/nodes", nil)
		for _, e := range a.entries {
			names = append(names, e.value.Name, e.value.ID.Short())
		}
		names = append(names, "self")
	}
	return names
}
