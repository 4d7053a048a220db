package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

const (
	callTime  = 10 * time.Second // an engine that has not answered an ordinary call by then hangs
	checkTime = 5 * time.Second  // and one that has not answered a ping
	oldestAPI = "1.41"           // of Docker 20.10
)

// errNoAnswer is the cause when a deadline of ours, not the caller's, ran out.
var errNoAnswer = errors.New("no answer")

// engine is the way to one engine. It dials when first used. The client's own
// negotiation of the API version is not used: it holds a lock while it waits for
// the engine, beyond any deadline of those who wait for the lock.
type engine struct {
	host string               // "" is DOCKER_HOST or the default socket
	turn chan struct{}        // of capacity 1; full while somebody connects
	now  atomic.Pointer[link] // nil while not connected
}

// link is an engine that has answered, with what does not change while it runs.
type link struct {
	*client.Client
	api  string // the version that the engine speaks
	cpus int    // of its machine
	name string // of its release, such as 27.3.1
}

func newEngine(host string) (*engine, error) {
	e := &engine{host: host, turn: make(chan struct{}, 1)}
	cli, err := e.client()
	if err != nil {
		return nil, err
	}
	e.host = cli.DaemonHost()
	return e, nil
}

// client makes a client, which neither dials nor starts anything.
func (e *engine) client() (*client.Client, error) {
	opts := []client.Opt{client.WithTLSClientConfigFromEnv(), client.WithHostFromEnv()}
	if e.host != "" {
		opts = append(opts, client.WithHost(e.host))
	}
	return client.NewClientWithOpts(opts...)
}

// connect returns the connected engine. Its own deadline fails it with errNoAnswer.
func (e *engine) connect(ctx context.Context) (*link, error) {
	if l := e.now.Load(); l != nil {
		return l, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTime, errNoAnswer)
	defer cancel()
	l, err := e.dial(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
		return nil, errNoAnswer
	}
	return l, err
}

// dial connects, unless another has done so meanwhile.
func (e *engine) dial(ctx context.Context) (*link, error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l := e.now.Load(); l != nil {
		return l, nil
	}
	cli, err := e.client()
	if err != nil {
		return nil, err
	}
	ping, err := cli.Ping(ctx)
	if err != nil {
		return nil, err
	}
	if versions.LessThan(ping.APIVersion, oldestAPI) {
		return nil, fmt.Errorf("the docker engine at %s is too old: it speaks API %q and orch needs %s (Docker 20.10) or later", e.host, ping.APIVersion, oldestAPI)
	}
	if ping.OSType != "" && ping.OSType != "linux" {
		return nil, fmt.Errorf("the docker engine at %s runs %s containers; orch needs linux containers", e.host, ping.OSType)
	}
	cli.NegotiateAPIVersionPing(ping)
	info, err := cli.Info(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{Client: cli, api: ping.APIVersion, cpus: info.NCPU, name: info.ServerVersion}
	e.now.Store(l)
	return l, nil
}

// ping asks whether the engine answers, and connects anew when it is another than
// before: an engine may be upgraded under a running agent, and speak other versions.
func (e *engine) ping(ctx context.Context) error {
	return e.do(ctx, checkTime, func(ctx context.Context, l *link) error {
		ping, err := l.Ping(ctx)
		if err != nil || ping.APIVersion == l.api {
			return err
		}
		e.now.CompareAndSwap(l, nil)
		_, err = e.connect(ctx)
		return err
	})
}

// do calls f with the connected engine. It gives up after patience, unless that is 0.
func (e *engine) do(ctx context.Context, patience time.Duration, f func(context.Context, *link) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if patience > 0 {
		inner, cancel = context.WithTimeoutCause(ctx, patience, errNoAnswer)
		defer cancel()
	}
	l, err := e.connect(inner)
	if err == nil {
		err = f(inner, l)
	}
	return e.fault(ctx, inner, err)
}

// open calls f, which begins a long answer and returns once the engine has begun
// it. The context that f is given lives until done is called or ctx ends; the
// deadline is only for the beginning.
func (e *engine) open(ctx context.Context, f func(context.Context, *link) error) (done func(), err error) {
	inner, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(callTime, func() { cancel(errNoAnswer) })
	l, err := e.connect(inner)
	if err == nil {
		err = f(inner, l)
	}
	if !late.Stop() && err == nil {
		err = errNoAnswer
	}
	if err != nil {
		cancel(err)
		return nil, e.fault(ctx, inner, err)
	}
	return func() { cancel(nil) }, nil
}

// fault makes an error of a call into words. ctx is the caller's, inner what the
// call was made with.
func (e *engine) fault(ctx, inner context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNoAnswer), errors.Is(context.Cause(inner), errNoAnswer):
		return fmt.Errorf("the docker engine at %s does not answer", e.host)
	case client.IsErrConnectionFailed(err):
		return e.diagnose(ctx, err)
	}
	return &engineError{words: words(err), err: err}
}

// diagnose finds out why the engine cannot be reached, which the client's error
// does not say.
func (e *engine) diagnose(ctx context.Context, err error) error {
	path, isFile := strings.CutPrefix(e.host, "unix://")
	if !isFile {
		return &engineError{words: fmt.Sprintf("cannot reach the docker engine at %s (is it running?)", e.host), err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, dialErr := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case dialErr == nil:
		conn.Close()
		return &engineError{words: fmt.Sprintf("the docker engine at %s broke the connection off", e.host), err: err}
	case errors.Is(dialErr, fs.ErrNotExist):
		return fmt.Errorf("there is no docker engine at %s: no such file (is it installed and running?)", e.host)
	case errors.Is(dialErr, fs.ErrPermission):
		return fmt.Errorf("may not use the docker engine at %s: permission denied (run as root, or be in the group that owns the socket)", e.host)
	case errors.Is(dialErr, syscall.ECONNREFUSED):
		return fmt.Errorf("the docker engine at %s is not running: connection refused", e.host)
	}
	return fmt.Errorf("cannot reach the docker engine at %s: %w", e.host, dialErr)
}

// engineError is an error of the engine in words for people.
type engineError struct {
	words string
	err   error
}

// Error is the words.
func (e *engineError) Error() string { return e.words }

// Unwrap is what the client returned.
func (e *engineError) Unwrap() error { return e.err }

var (
	portTaken  = regexp.MustCompile(`Bind for \S*?:(\d+) failed: port is already allocated`)
	portInUse  = regexp.MustCompile(`listen (tcp|udp)\S* \S*:(\d+): bind: address already in use`)
	cannotExec = regexp.MustCompile(`exec: ("[^"]*": .*?)(: unknown)?$`)
)

// words are what an error of the engine means, where it is one that users meet;
// else the engine's own, without what the client puts before them.
func words(err error) string {
	s := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	if m := portTaken.FindStringSubmatch(s); m != nil {
		return fmt.Sprintf("port %s is in use on this node by another container", m[1])
	}
	if m := portInUse.FindStringSubmatch(s); m != nil {
		return fmt.Sprintf("port %s/%s is in use on this node by another program", m[2], m[1])
	}
	if strings.Contains(s, "no space left on device") {
		return "the docker engine's disk is full: " + s
	}
	if m := cannotExec.FindStringSubmatch(s); m != nil {
		return "cannot run " + m[1]
	}
	return s
}
