package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/peer"
)

// newTokenCommand prints the join token. It reads the data directory and never the
// API, so that only who may read the directory gets it.
func newTokenCommand(env *Env) *cobra.Command {
	var dataDir string
	var forAPI bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token that lets a machine join",
		Example: `  orch token > token
  ORCH_TOKEN=$(orch token --api) orch --api 203.0.113.7:7070 ps`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			secret, ok, err := peer.ReadSecret(dataDir)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("there is no cluster in %s: orch start makes one; --data-dir names another directory", dataDir)
			}
			token := secret.Token()
			if forAPI {
				token = secret.APIToken()
			}
			_, err = fmt.Fprintln(env.Stdout, token)
			return err
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", defaultDataDir(env), "the node's data directory")
	cmd.Flags().BoolVar(&forAPI, "api", false, "print the token for the HTTP API beyond loopback instead")
	return cmd
}
