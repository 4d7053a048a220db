package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/registry"
)

const (
	helperTime  = 30 * time.Second // a credential helper may ask a cloud
	helperWrite = 64 << 10         // and a token may be long
)

var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// errNoCredentials is what helpers say of a registry that they do not know.
var errNoCredentials = errors.New("credentials not found in native keychain")

// askHelper runs a credential helper, the program docker-credential-NAME of PATH, as
// docker's own client does: the registry goes to its standard input, and JSON comes
// back. What a helper that succeeds has written is a secret, and never told.
func askHelper(ctx context.Context, name, server string) (registry.AuthConfig, error) {
	program := "docker-credential-" + name
	if !helperName.MatchString(name) {
		return registry.AuthConfig{}, fmt.Errorf("%.80q does not name a credential helper", name)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	var out, said capped
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(server), &out, &said
	cmd.WaitDelay = time.Second // for what it may have started
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return registry.AuthConfig{}, fmt.Errorf("%s gave no answer within %s", program, helperTime)
	case errors.Is(err, exec.ErrNotFound):
		return registry.AuthConfig{}, fmt.Errorf("%s, which docker's configuration names, is not in the PATH of the agent", program)
	case err != nil && strings.Contains(string(out.kept), errNoCredentials.Error()):
		return registry.AuthConfig{}, errNoCredentials
	case err != nil:
		return registry.AuthConfig{}, fmt.Errorf("%s: %w: %.300s", program, err, strings.Join(strings.Fields(string(out.kept)+" "+string(said.kept)), " "))
	}
	var answer struct{ Username, Secret string }
	if out.cut || json.Unmarshal(out.kept, &answer) != nil || answer.Secret == "" {
		return registry.AuthConfig{}, fmt.Errorf("%s does not answer with credentials in JSON, or with too many bytes", program)
	}
	if answer.Username == "<token>" {
		return registry.AuthConfig{IdentityToken: answer.Secret, ServerAddress: server}, nil
	}
	return registry.AuthConfig{Username: answer.Username, Password: answer.Secret, ServerAddress: server}, nil
}

// capped keeps the first bytes of what is written to it, and takes the rest.
type capped struct {
	kept []byte
	cut  bool // there was more
}

// Write never fails, so a program that writes without end is ended by its deadline.
func (c *capped) Write(b []byte) (int, error) {
	keep := b[:min(len(b), helperWrite-len(c.kept))]
	c.cut = c.cut || len(keep) < len(b)
	c.kept = append(c.kept, keep...)
	return len(b), nil
}
