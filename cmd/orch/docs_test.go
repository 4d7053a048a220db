package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// docsFile is the help of all commands as one page, for who reads before installing.
const docsFile = "../../.github/commands.md"

// TestDocs holds the page against the commands; make docs writes it.
func TestDocs(t *testing.T) {
	page := commandsPage(testRoot())
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(docsFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page {
		t.Errorf("%s is not what the commands say of themselves: make docs", docsFile)
	}
}

// commandsPage is the help of each command and topic, the same on every machine.
func commandsPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# The commands of orch\n\nThis is what `orch help` prints; `make docs` writes it here.\n")
	describe(&b, root)
	return b.String()
}

func describe(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden || cmd.Parent() != nil && cmd.Parent().Name() == "completion" {
		return
	}
	for flag, value := range map[string]string{"name": "the host's", "data-dir": "/var/lib/orch"} {
		if f := cmd.Flags().Lookup(flag); f != nil && f.DefValue != "" {
			f.DefValue = value
		}
	}
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	if cmd.Runnable() {
		cmd.InitDefaultHelpFlag()
		text += "\n\n" + cmd.UsageString()
	}
	if cmd.HasParent() { // said once is enough
		text, _, _ = strings.Cut(text, "\nFlags of all commands:")
	}
	fmt.Fprintf(b, "\n## %s\n\n```\n%s\n```\n", cmd.CommandPath(), strings.TrimSpace(text))
	for _, c := range cmd.Commands() {
		describe(b, c)
	}
}
