package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/peer"
)

// probeLimit is how long a local agent may take to say that it is there.
const probeLimit = 3 * time.Second

// newJoinCommand makes this machine a node of an existing cluster.
func newJoinCommand(env *Env) *cobra.Command {
	var flags agentFlags
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "join PEER...",
		Short: "Make this machine a node of a cluster",
		Long: `Make this machine a node of the cluster of PEER (HOST or HOST:PORT of its gossip;
the port is 7071 unless given).

If an agent runs here, at --api, it is asked to join and the command returns when
it is a member; for a member already there is nothing to do. An agent that is
alone and never had a job gives up its own cluster for that, any other has to
leave first (orch leave).

If none runs, this command becomes the agent and runs in the foreground, as start
does. If it cannot join in time, or cannot be reached by the others, it says why
and exits.

The token comes from --token-file, ORCH_TOKEN_FILE, ORCH_TOKEN, or the terminal.`,
		Example: `  orch join 203.0.113.7                                                    # asks for the token
  ssh root@203.0.113.7 orch token | orch join 203.0.113.7 --token-file -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "join needs the address of a member")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if within <= 0 || within > api.MaxJoinTimeout {
				return usageError(cmd, "--join-timeout must be above 0, and at most %s", api.MaxJoinTimeout)
			}
			a := &agent{env: env, cmd: cmd, flags: &flags, seeds: args, within: within}
			return a.joinOrRun(cmd.Context())
		},
	}
	flags.register(cmd.Flags(), env)
	cmd.Flags().DurationVar(&within, "join-timeout", 9*time.Second, "give up after that")
	return cmd
}

// joinOrRun has the agent that runs here join or, if there is none, becomes it.
func (a *agent) joinOrRun(ctx context.Context) error {
	if err := a.prepare(); err != nil {
		return err
	}
	c, err := a.local()
	if err != nil {
		return err
	}
	probe, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if _, err := c.Version(probe); errors.Is(err, rest.ErrUnreachable) {
		fmt.Fprintf(a.env.Stderr, "no agent runs here (%s): this command becomes it, in the foreground\n", a.flags.api)
		fmt.Fprintln(a.env.Stderr, "to have systemd run it: orch systemd > /etc/systemd/system/orch.service && systemctl enable --now orch, then orch join again")
		return a.live(ctx)
	}
	token, err := a.flags.needToken(a.cmd, a.env)
	if err != nil {
		return err
	}
	ctx, cancelJoin := context.WithTimeout(ctx, a.within+answerLimit)
	defer cancelJoin()
	joined, err := c.JoinCluster(ctx, api.Joining{Token: token, Peers: a.seeds, Timeout: api.Duration(a.within)})
	if err != nil {
		return cannot("join", err, a.env.Now())
	}
	nodes := count(joined.Cluster.Nodes.Known, "node")
	if joined.Already {
		_, err = fmt.Fprintf(a.env.Stdout, "already a member (%s)\n", nodes)
	} else {
		_, err = fmt.Fprintf(a.env.Stdout, "joined cluster %s (%s)\n", clean(joined.Cluster.ID), nodes)
	}
	return err
}

// local is a client of the agent that runs here, if one does. Its token is that of
// the data directory: the one at hand may be another cluster's.
func (a *agent) local() (client, error) {
	token := ""
	if secret, ok, err := peer.ReadSecret(a.flags.dataDir); err == nil && ok {
		token = secret.APIToken()
	}
	connect := a.env.connect
	if connect == nil {
		connect = overHTTP
	}
	return connect([]string{a.flags.api}, token)
}
