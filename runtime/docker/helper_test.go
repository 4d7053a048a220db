package docker_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/registry"
)

// helperScript is a credential helper that does what its test wants for the registry
// that it reads.
const helperScript = `#!/bin/sh
[ "$1" = get ] || exit 9
read -r server
case "$server" in
known.io) echo '{"ServerURL":"known.io","Username":"helped","Secret":"s3cret"}';;
token.io) echo '{"Username":"<token>","Secret":"t0ken"}';;
https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"s3cret"}';;
broken.io) echo 'the keychain is locked'; echo 'unlock it' >&2; exit 1;;
words.io) echo 's3cret';;
endless.io) head -c 100000 /dev/zero | tr '\0' ' '; echo '{"Username":"helped","Secret":"s3cret"}';;
hung.io) exec sleep 1000;;
*) echo 'credentials not found in native keychain'; exit 1;;
esac
`

func TestCredentialHelpers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(helperScript), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	f := newFake(t)
	f.handle("POST /containers/create", http.StatusNotFound, `{"message":"No such image"}`)
	given := make(chan *registry.AuthConfig, 1)
	f.mux.HandleFunc("POST /images/create", func(w http.ResponseWriter, r *http.Request) {
		auth, err := registry.DecodeAuthConfig(r.Header.Get(registry.AuthHeader))
		if err != nil {
			t.Error(err)
		}
		given <- auth
		w.WriteHeader(http.StatusNotFound)
	})
	const (
		store = `"credsStore":"test"`
		auths = `"auths":{"known.io":{"auth":"ZmlsZTpwYXNz"},"none.io":{"auth":"ZmlsZTpwYXNz"},"empty.io":{}}` // file:pass
	)
	for _, tt := range []struct {
		config, image string
		user          string // or the token
		words         string // at the end of the error, when there are no credentials
	}{
		{store, "known.io/a", "helped", ""},
		{store, "token.io/a", "t0ken", ""},
		{store, "nginx", "hub", ""},
		{store, "none.io/a", "", ""},
		{store + "," + auths, "empty.io/a", "", ""},
		{store + "," + auths, "known.io/a", "file", ""},
		{`"credHelpers":{"known.io":"test"},` + auths, "known.io/a", "helped", ""},
		{`"credHelpers":{"none.io":"test"},` + auths, "none.io/a", "file", ""},
		{`"credHelpers":{"other.io":"test"}`, "known.io/a", "", ""},
		{`"credHelpers":{"known.io":"none"},` + store, "known.io/a", "", "(no credentials: docker-credential-none, which docker's configuration names, is not in the PATH of the agent)"},
		{`"credsStore":"../test"`, "known.io/a", "", `(no credentials: "../test" does not name a credential helper)`},
		{store, "broken.io/a", "", "(no credentials: docker-credential-test: exit status 1: the keychain is locked unlock it)"},
		{store, "words.io/a", "", "(no credentials: docker-credential-test does not answer with credentials in JSON, or with too many bytes)"},
		{store, "endless.io/a", "", "or with too many bytes)"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"+tt.config+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
		spec := f.spec()
		spec.Image = tt.image
		_, err := f.driver(t).Start(t.Context(), spec, nil)
		if err == nil || !strings.HasSuffix(err.Error(), tt.words) || strings.Contains(err.Error(), "s3cret") || tt.words == "" && strings.Contains(err.Error(), "credentials") {
			t.Errorf("%s by %s: got the error %v, want %q", tt.image, tt.config, err, tt.words)
		}
		if auth := <-given; auth.Username+auth.IdentityToken != tt.user || auth.Username == "helped" && auth.Password != "s3cret" {
			t.Errorf("%s by %s: the engine was given %q, want %q", tt.image, tt.config, auth.Username+auth.IdentityToken, tt.user)
		}
	}

	spec := f.spec()
	spec.Image = "hung.io/a"
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := f.driver(t).Start(ctx, spec, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Errorf("with a helper that hangs: %v after %s, want the end of the context", err, time.Since(begun))
	}
}
