package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/peer"
)

// answerLimit is how long a question that needs no waiting may take: a node that
// is stuck must not hold a script for ever.
const answerLimit = 30 * time.Second

// maxToken bounds the file of a token, lest the wrong file is read whole.
const maxToken = 64 << 10

// client is a node's service as asked from outside: rest.Client, or a script of
// answers in tests.
type client interface {
	api.Service
	// View is what the node that answered last said of its view.
	View() (api.View, bool)
	// Raw is the body of the answer to a GET, byte for byte.
	Raw(ctx context.Context, path string) ([]byte, error)
}

// overHTTP makes the client that is used outside of tests.
func overHTTP(endpoints []string, token string) (client, error) {
	return rest.NewClient(endpoints, token)
}

// dial makes a client for cmd. Nothing is sent yet.
func dial(env *Env, cmd *cobra.Command) (client, error) {
	list, from := env.Getenv("ORCH_API"), "ORCH_API"
	if given, _ := cmd.Flags().GetString("api"); given != "" {
		list, from = given, "--api"
	}
	if list == "" {
		list = defaultAPI
	}
	var endpoints []string
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			endpoints = append(endpoints, one)
		}
	}
	token, err := apiToken(env)
	if err != nil {
		return nil, err
	}
	connect := env.connect
	if connect == nil {
		connect = overHTTP
	}
	c, err := connect(endpoints, token)
	if err != nil {
		return nil, usageError(cmd, "%s: %s", from, err)
	}
	return c, nil
}

// apiToken is the token of the environment for the API, or "". The API token is
// made of a join token, which is never sent: whoever overhears it must not become
// a member.
func apiToken(env *Env) (string, error) {
	token, err := givenToken(env)
	if err != nil || !strings.HasPrefix(token, peer.JoinPrefix) {
		return token, err
	}
	secret, err := peer.ParseToken(token)
	if err != nil {
		return "", fmt.Errorf("the token of the environment: %w", err)
	}
	return secret.APIToken(), nil
}

// givenToken is what the environment has.
func givenToken(env *Env) (string, error) {
	name := env.Getenv("ORCH_TOKEN_FILE")
	if name == "" {
		return strings.TrimSpace(env.Getenv("ORCH_TOKEN")), nil
	}
	token, err := tokenFromFile(name)
	if err != nil {
		return "", fmt.Errorf("the token of ORCH_TOKEN_FILE: %w", err)
	}
	return token, nil
}

// tokenFromFile reads a file with a token.
func tokenFromFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxToken {
		return "", fmt.Errorf("%s is over %d bytes; is it a token?", name, maxToken)
	}
	return strings.TrimSpace(string(b)), nil
}

// with connects, does what, and then warns if the node that answered is cut off
// from the others: what it shows is only what it sees.
func with(env *Env, cmd *cobra.Command, what func(context.Context, client) error) error {
	c, err := dial(env, cmd)
	if err != nil {
		return err
	}
	err = what(cmd.Context(), c)
	fmt.Fprint(env.Stderr, viewWarning(c))
	if closer, ok := c.(interface{ Close() }); ok {
		closer.Close()
	}
	return err
}

// viewWarning is a line on what the node that answered cannot see, or "".
func viewWarning(c client) string {
	v, ok := c.View()
	switch {
	case !ok:
	case v.Isolated:
		return fmt.Sprintf("warning: %s sees none of the other nodes (it knows %d): what it says of them may be out of date\n",
			clean(v.Name), v.Known-1)
	case !v.Synced && v.Known > 1:
		return fmt.Sprintf("warning: %s has started and not yet heard from another node: what it says may be out of date\n", clean(v.Name))
	}
	return ""
}

// ask is with for questions that are answered at once.
func ask(env *Env, cmd *cobra.Command, what func(context.Context, client) error) error {
	return with(env, cmd, func(ctx context.Context, c client) error {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		return what(ctx, c)
	})
}

// count is "1 slot", "3 slots".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
