package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// printUsage is what follows the first words of a command's help: how it is
// written, examples, the commands below it and its flags.
func printUsage(cmd *cobra.Command) error {
	var b strings.Builder
	section := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n%s\n", title, strings.Join(lines, "\n"))
		}
	}
	written := []string{"  " + cmd.UseLine()}
	if cmd.HasAvailableSubCommands() {
		written = []string{"  " + cmd.CommandPath() + " COMMAND"}
	}
	for _, alias := range cmd.Aliases {
		written = append(written, "  "+strings.TrimSuffix(cmd.CommandPath(), cmd.Name())+alias)
	}
	section("Usage:", written)
	if cmd.Example != "" {
		section("Examples:", []string{cmd.Example})
	}
	for _, group := range cmd.Groups() {
		section(group.Title, commandLines(cmd, func(c *cobra.Command) bool { return c.IsAvailableCommand() && c.GroupID == group.ID }))
	}
	section("Commands:", commandLines(cmd, func(c *cobra.Command) bool { return c.IsAvailableCommand() && c.GroupID == "" }))
	section("Topics:", commandLines(cmd, (*cobra.Command).IsAdditionalHelpTopicCommand))
	section("Flags:", flagLines(cmd.LocalFlags()))
	section("Flags of all commands:", flagLines(cmd.InheritedFlags()))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help tells more.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), strings.TrimPrefix(b.String(), "\n"))
	return err
}

// commandLines lists the commands below cmd that are wanted.
func commandLines(cmd *cobra.Command, wanted func(*cobra.Command) bool) []string {
	t := &table{}
	for _, c := range cmd.Commands() {
		if wanted(c) {
			t.add("  "+c.Name(), c.Short)
		}
	}
	return t.lines()
}

// flagLines lists flags.
func flagLines(flags *pflag.FlagSet) []string {
	t := &table{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, about := pflag.UnquoteUsage(f)
		spelt := "      --" + f.Name
		if f.Shorthand != "" {
			spelt = "  -" + f.Shorthand + ", --" + f.Name
		}
		switch f.DefValue {
		case "", "0", "false", "[]", "0s":
		default:
			about += fmt.Sprintf(" (default %s)", strings.Trim(f.DefValue, "[]"))
		}
		t.add(strings.TrimRight(spelt+" "+name, " "), about)
	})
	return t.lines()
}
