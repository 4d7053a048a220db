package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed orch.service
var unit string

// unitBinary is where the embedded unit has the program.
const unitBinary = "/usr/local/bin/orch"

// newSystemdCommand prints the unit of the agent.
func newSystemdCommand(env *Env) *cobra.Command {
	var binary string
	cmd := &cobra.Command{
		Use:   "systemd",
		Short: "Print a systemd unit for the agent",
		Long: `Print a systemd unit that keeps the agent of this machine running. Flags of orch
start go into /etc/orch/env (mode 0600) as variables, as ORCH_ADVERTISE=100.64.0.3
for --advertise.`,
		Example: `  orch systemd > /etc/systemd/system/orch.service && systemctl enable --now orch`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path, err := os.Executable(); binary == "" && err == nil {
				binary = path
			}
			if !filepath.IsAbs(binary) || strings.ContainsAny(binary, " \t\n\"'\\%$") {
				return usageError(cmd, "--binary %q: want the whole path of the program, without spaces and quotes", binary)
			}
			_, err := fmt.Fprint(env.Stdout, strings.Replace(unit, unitBinary, binary, 1))
			return err
		},
	}
	cmd.Flags().StringVar(&binary, "binary", "", "`PATH` of the program that the unit runs (default this one)")
	return cmd
}
