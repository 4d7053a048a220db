package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// registerColour adds --color to all commands.
func registerColour(root *cobra.Command) {
	root.PersistentFlags().String("color", "auto", "`WHEN` to colour states: auto, always or never")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		when, _ := cmd.Flags().GetString("color")
		return checkWord(cmd, "--color", when, "auto", "always", "never")
	}
}

// coloured says whether what goes to stream is to have colours.
func coloured(env *Env, cmd *cobra.Command, stream any) bool {
	when, _ := cmd.Flags().GetString("color")
	switch when {
	case "always":
		return true
	case "never":
		return false
	}
	return env.Getenv("NO_COLOR") == "" && canRedraw(env, stream)
}

// canRedraw says whether stream is a screen on which a cursor can be moved.
func canRedraw(env *Env, stream any) bool {
	return env.IsTerminal(stream) && env.Getenv("TERM") != "dumb"
}

// paintState gives a state its colour: what is well is green, what moves is
// yellow, what is broken is red. The first word decides.
func paintState(s string) string {
	word, _, _ := strings.Cut(s, " ")
	var colour string
	switch strings.TrimSuffix(word, ":") {
	case "running", "complete", "ready":
		colour = "32"
	case "failed", "lost", "violation":
		colour = "31"
	case "pending", "accepted", "pulling", "starting", "stopping", "restarting", "draining", "degraded", "updating", "removing", "unsettled", "silent", "not_served":
		colour = "33"
	default:
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}
