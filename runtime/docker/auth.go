package docker

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
)

// maxConfig bounds docker's configuration file.
const maxConfig = 1 << 20

// dockerConfig is what matters to us of the file that "docker login" writes.
type dockerConfig struct {
	Auths map[string]struct {
		Auth          string `json:"auth"` // base64 of user:password
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
	} `json:"auths"`
	CredsStore  string            `json:"credsStore"`
	CredHelpers map[string]string `json:"credHelpers"`
}

// credentials are those of this node for the registry of an image, as the engine
// wants them, or "": of the helper that docker's configuration names for the
// registry, of the file itself, or of the helper for all registries. An error is why
// there may be none. The file is read each time, so a login counts at once.
func credentials(ctx context.Context, image string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", nil //nolint:nilerr // the engine says it better
	}
	c, err := readConfig()
	if err != nil {
		return "", err
	}
	domain := reference.Domain(ref)
	auth, err := c.find(domain)
	if auth.Username+auth.IdentityToken == "" || c.named(domain) != "" {
		if helped, helpErr := c.help(ctx, domain); helpErr != nil {
			err = errors.Join(err, helpErr)
		} else if helped.Password+helped.IdentityToken != "" {
			auth = helped
		}
	}
	if auth.Username+auth.IdentityToken == "" {
		return "", err
	}
	encoded, encodeErr := registry.EncodeAuthConfig(auth)
	return encoded, errors.Join(err, encodeErr)
}

// readConfig reads docker's configuration file; without one it is empty.
func readConfig() (c dockerConfig, err error) {
	path, err := configPath()
	if err != nil {
		return c, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// configPath is where docker's own client has its configuration.
func configPath() (string, error) {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".docker", "config.json"), nil
}

// find returns the credentials for a registry that are in the file itself.
func (c dockerConfig) find(domain string) (registry.AuthConfig, error) {
	for key, a := range c.Auths {
		if domainOf(key) != domain {
			continue
		}
		out := registry.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, ServerAddress: key}
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				return registry.AuthConfig{}, fmt.Errorf("the credentials for %s are not user:password in base64", key)
			}
			out.Username, out.Password = user, strings.TrimRight(password, "\x00")
		}
		if out.Username != "" || out.IdentityToken != "" {
			return out, nil
		}
	}
	return registry.AuthConfig{}, nil
}

// named is the helper for that registry in particular, or "".
func (c dockerConfig) named(domain string) string {
	for key, name := range c.CredHelpers {
		if domainOf(key) == domain {
			return name
		}
	}
	return ""
}

// help asks the helper for a registry, if there is one. That it knows none is no
// error.
func (c dockerConfig) help(ctx context.Context, domain string) (registry.AuthConfig, error) {
	name := cmp.Or(c.named(domain), c.CredsStore)
	if name == "" {
		return registry.AuthConfig{}, nil
	}
	server := domain
	if domain == "docker.io" {
		server = "https://index.docker.io/v1/" // under which docker login keeps it
	}
	auth, err := askHelper(ctx, name, server)
	if errors.Is(err, errNoCredentials) {
		return registry.AuthConfig{}, nil
	}
	return auth, err
}

// domainOf is the registry that a key of the file is for: it may be a URL, and
// Docker Hub has several names.
func domainOf(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key, _, _ = strings.Cut(key, "/")
	switch key {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return key
}
