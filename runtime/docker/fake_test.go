package docker_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/registry"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker"
)

// fakeID is what the fake engine calls every container.
var fakeID = strings.Repeat("ab", 32)

// fakeEngine answers just enough of the engine's API, in ways that a real engine
// cannot be made to.
type fakeEngine struct {
	host string
	mux  *http.ServeMux

	mu      sync.Mutex // guards the fields below
	version string
	seen    []string // method and path of each call but pings
}

// newFake starts one that answers what the driver asks first. Paths are without
// the version.
func newFake(t *testing.T) *fakeEngine {
	t.Helper()
	f := &fakeEngine{mux: http.NewServeMux(), version: "1.41"}
	f.mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.Header().Set("Api-Version", f.version)
		w.Header().Set("Ostype", "linux")
	})
	f.handle("GET /info", http.StatusOK, `{"NCPU":2}`)
	l := listenUnix(t)
	f.host = "unix://" + l.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := strings.CutPrefix(r.URL.Path, "/v1."); ok {
			version, rest, _ := strings.Cut(path, "/")
			r.URL.Path = "/" + rest
			f.mu.Lock()
			f.seen = append(f.seen, "1."+version+" "+r.Method+" "+r.URL.Path)
			f.mu.Unlock()
		}
		f.mux.ServeHTTP(w, r)
	})}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("fake engine: %v", err)
		}
	})
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return f
}

// listenUnix listens where the name is short enough for a socket.
func listenUnix(t *testing.T) *net.UnixListener {
	t.Helper()
	dir, err := os.MkdirTemp("", "orch")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	return l
}

// handle gives the same answer always.
func (f *fakeEngine) handle(pattern string, status int, body string) {
	f.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

func (f *fakeEngine) saw(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.seen, call)
}

func (f *fakeEngine) driver(t *testing.T) *docker.Driver {
	return newDriver(t, docker.Config{Host: f.host, Cluster: "c", Node: node})
}

func (f *fakeEngine) spec() runtime.Spec {
	return rig{cluster: "c", image: "ghcr.io/a/b:v1"}.spec("web")
}

func TestEngineVersions(t *testing.T) {
	f := newFake(t)
	f.handle("GET /containers/json", http.StatusOK, `[]`)
	d := f.driver(t)
	use := func(version, want string) {
		t.Helper()
		f.mu.Lock()
		f.version = version
		f.mu.Unlock()
		if err := d.Check(t.Context()); err != nil {
			t.Fatalf("Check: %v", err)
		}
		if _, err := d.List(t.Context()); err != nil || !f.saw(want) {
			t.Errorf("with an engine of %s: %v, calls were %q, want %s", version, err, f.seen, want)
		}
	}
	use("1.41", "1.41 GET /containers/json")
	use("1.44", "1.44 GET /containers/json") // upgraded under us
	use("1.99", "1.51 GET /containers/json") // what the client speaks at most
	f.mu.Lock()
	f.version = "1.40"
	f.mu.Unlock()
	if err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("Check of an engine of 1.40: %v, want that it is too old", err)
	}
}

// TestPull has an image come from a registry that wants credentials.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	write := func(config string) {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := newFake(t)
	var mu sync.Mutex // guards answer, auth and pulled, which both sides use
	var answer []string
	var auth *registry.AuthConfig
	pulled := false
	f.mux.HandleFunc("POST /images/create", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		auth, _ = registry.DecodeAuthConfig(r.Header.Get(registry.AuthHeader))
		for _, line := range answer {
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
			if strings.Contains(line, "Downloading") {
				<-time.After(600 * time.Millisecond) // longer than a teller is silent
			}
		}
		pulled = true
	})
	f.mux.HandleFunc("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if !pulled {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"No such image: ghcr.io/a/b:v1"}`)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"message":"mkdir /var/lib/docker/x: no space left on device"}`)
	})
	d := f.driver(t)
	var told []string
	start := func(answers ...string) (registry.AuthConfig, error) {
		mu.Lock()
		told, pulled, answer, auth = nil, false, answers, nil
		mu.Unlock()
		_, err := d.Start(t.Context(), f.spec(), func(s api.TaskState, detail string) {
			if s != api.Pulling {
				t.Errorf("told of %s", s)
			}
			told = append(told, detail)
		})
		mu.Lock()
		defer mu.Unlock()
		if auth == nil {
			t.Fatalf("Start: %v, and nothing was pulled", err)
		}
		return *auth, err
	}

	write(`{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOng="},"ghcr.io":{"auth":"dXNlcjpwYTpzcw=="}},"credsStore":"desktop"}`)
	given, err := start(`{"status":"Pulling from a/b","id":"v1"}`,
		`{"status":"Pulling fs layer","progressDetail":{},"id":"x"}`,
		`{"status":"Downloading","progressDetail":{"current":1048576,"total":4194304},"id":"x"}`,
		`{"status":"Downloading","progressDetail":{"current":4194304,"total":4194304},"id":"y"}`,
		`{"status":"Download complete","progressDetail":{},"id":"x"}`, `{"status":"Downloading","progressDetail":{"current":4194304,"total":4194304},"id":"y"}`,
		`{"status":"Extracting","progressDetail":{"current":1,"total":4194304},"id":"x"}`, `{"status":"Status: Downloaded newer image for ghcr.io/a/b:v1"}`)
	if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("Start: %v, want the disk's words", err)
	}
	if given.Username != "user" || given.Password != "pa:ss" {
		t.Errorf("the engine was given %+v, want those of ghcr.io", given)
	}
	if len(told) < 3 || len(told) > 6 || !slices.Contains(told, "62% of 8MiB") || !slices.Contains(told, "unpacking 8MiB") {
		t.Errorf("told of %q, want how far it is", told)
	}

	write(`{"auths":{},"credHelpers":{"ghcr.io":"nosuch"}}`)
	given, err = start(`{"errorDetail":{"message":"denied: requested access"},"error":"pull access denied for a/b"}`)
	if err == nil || !strings.HasSuffix(err.Error(), "image ghcr.io/a/b:v1: pull access denied for a/b (no credentials: docker-credential-nosuch, which docker's configuration names, is not in the PATH of the agent)") {
		t.Errorf("Start: %v, want the registry's words and the helper", err)
	}
	if given.Username != "" {
		t.Errorf("the engine was given %+v, want nothing", given)
	}
	write(`{"auths":`) // of no use, and in nobody's way
	if _, err = start(`{"status":"Pulling`); err == nil || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("Start: %v, want that the pull broke off", err)
	}
}

// TestStartGivenUp has an engine that takes long to create a container.
func TestStartGivenUp(t *testing.T) {
	f := newFake(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	f.mux.HandleFunc("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"Id":%q}`, fakeID)
	})
	f.handle("POST /containers/"+fakeID+"/start", http.StatusNoContent, "")
	f.handle("DELETE /containers/"+fakeID, http.StatusNoContent, "")
	f.mux.HandleFunc("GET /containers/"+fakeID+"/json", func(w http.ResponseWriter, _ *http.Request) {
		labels := map[string]string{"orch.cluster": "c", "orch.node": string(node), "orch.job": "web", "orch.life": "1763842000000", "orch.slot": "0",
			"orch.epoch": "1", "orch.resources": "{}", "orch.ports": "[]", "orch.stop_timeout": "1s"}
		body := map[string]any{"Id": fakeID, "State": map[string]any{"Status": "running", "Running": true}, "Config": map[string]any{"Labels": labels}}
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	})
	d := f.driver(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := d.Start(ctx, f.spec(), nil); done <- err }()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v, want the context's error", err)
	}
	if _, err := d.Start(t.Context(), f.spec(), nil); !errors.Is(err, runtime.ErrBusy) {
		t.Errorf("Start while the engine is still at it: %v, want ErrBusy", err)
	}
	answer <- struct{}{}
	await(t, "the container is removed", func() bool { return f.saw("1.41 DELETE /containers/" + fakeID) })
	await(t, "another start is let through", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			select {
			case <-asked:
				answer <- struct{}{}
			case <-ctx.Done():
			}
		}()
		_, err := d.Start(ctx, f.spec(), nil)
		return err == nil
	})
}

func TestOddAnswers(t *testing.T) {
	f := newFake(t)
	f.handle("GET /containers/json", http.StatusOK, fmt.Sprintf(`[{"Id":%q,"State":"running","Labels":{"orch.cluster":"c","orch.node":%q,"orch.job":"web","orch.life":"1",
		"orch.slot":"0","orch.epoch":"1","orch.resources":"{}","orch.ports":"[]","orch.stop_timeout":"1s"}}]`, fakeID, node))
	d := f.driver(t)
	f.handle("GET /containers/"+fakeID+"/json", http.StatusOK, `{}`)
	if list, err := d.List(t.Context()); err == nil {
		t.Errorf("List = %+v, want an error: nobody said that it is gone", list)
	}
	if err := d.Stop(t.Context(), fakeID, 0); err == nil || errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Stop: %v, want an error, and not that it is not there", err)
	}
}

// TestOddLogs has an engine whose logs are not what they should be.
func TestOddLogs(t *testing.T) {
	frame := func(stream byte, text string) string {
		head := [8]byte{0: stream}
		binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
		return string(head[:]) + text
	}
	const stamp = "2026-11-22T21:00:00.000000001Z "
	for what, q := range map[string]struct {
		body  string
		lines []string
		words string
	}{
		"good":        {frame(1, stamp+"a b\n") + frame(2, stamp+"\n"), []string{"stdout a b 1", "stderr  1"}, ""},
		"no newline":  {frame(1, stamp+"a"), []string{"stdout a+ 1"}, ""},
		"no time":     {frame(1, "hello you\n"), []string{"stdout hello you 0"}, ""},
		"not UTF-8":   {frame(1, stamp+"a\xff\n"), []string{"stdout a\xff 1"}, ""},
		"cut head":    {frame(1, stamp+"a\n") + "\x01\x00", []string{"stdout a 1"}, "broke off"},
		"cut text":    {frame(1, stamp+"a\n")[:20], nil, "broke off"},
		"no text":     {frame(1, stamp+"a\n")[:8], nil, "broke off"},
		"huge":        {"\x01\x00\x00\x00\xff\xff\xff\xff", nil, "frame of 4294967295 bytes"},
		"odd stream":  {frame(9, stamp+"a\n"), nil, "stream 9"},
		"engine's":    {frame(3, "disk on fire"), nil, "the engine says: disk on fire"},
		"two in long": {frame(1, stamp+strings.Repeat("é", 10_000)+"\n"), []string{"stdout " + strings.Repeat("é", 8192) + "+ 1", "stdout " + strings.Repeat("é", 1808) + " 1"}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t)
			f.handle("GET /containers/"+fakeID+"/json", http.StatusOK, fmt.Sprintf(`{"Id":%q,"State":{"Status":"running"},"Config":{"Labels":{"orch.cluster":"c","orch.node":%q,
				"orch.job":"web","orch.life":"1","orch.slot":"0","orch.epoch":"1","orch.resources":"{}","orch.ports":"[]","orch.stop_timeout":"1s"}}}`, fakeID, node))
			f.handle("GET /containers/"+fakeID+"/logs", http.StatusOK, q.body)
			var got []string
			err := f.driver(t).Logs(t.Context(), fakeID, api.LogOptions{Tail: -1}, func(l api.LogLine) error {
				more := map[bool]string{true: "+"}[l.Partial]
				got = append(got, fmt.Sprintf("%s %s%s %d", l.Stream, l.Line, more, max(l.Time.Nanosecond(), 0)))
				return nil
			})
			if !slices.Equal(got, q.lines) {
				t.Errorf("lines %.200q, want %.200q", got, q.lines)
			}
			if q.words == "" && err != nil || q.words != "" && (err == nil || !strings.Contains(err.Error(), q.words)) {
				t.Errorf("error %v, want %q", err, q.words)
			}
		})
	}
}
