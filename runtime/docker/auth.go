package docker

import (
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
// wants them, or "". Where there are none, helper is the program that has them by
// docker's configuration. The file is read each time, so a login counts at once.
func credentials(image string) (auth, helper string, err error) {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", "", nil // the engine says it better
	}
	path, err := configPath()
	if err != nil {
		return "", "", err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	var c dockerConfig
	if err := json.Unmarshal(b, &c); err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	if auth, err = c.find(reference.Domain(ref)); err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	if auth == "" {
		helper = c.helper(reference.Domain(ref))
	}
	return auth, helper, nil
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

// find returns the encoded credentials for a registry.
func (c dockerConfig) find(domain string) (string, error) {
	for key, a := range c.Auths {
		if domainOf(key) != domain {
			continue
		}
		out := registry.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, ServerAddress: key}
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				return "", fmt.Errorf("the credentials for %s are not user:password in base64", key)
			}
			out.Username, out.Password = user, strings.TrimRight(password, "\x00")
		}
		if out.Username != "" || out.IdentityToken != "" {
			return registry.EncodeAuthConfig(out)
		}
	}
	return "", nil
}

// helper is the program that has the credentials for a registry, or "".
func (c dockerConfig) helper(domain string) string {
	for key, name := range c.CredHelpers {
		if domainOf(key) == domain {
			return name
		}
	}
	return c.CredsStore
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
