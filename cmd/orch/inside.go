package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
	"github.com/exitae337/orchestergo/peer"
)

// inside is what of an agent belongs to one cluster: its node, at work.
type inside struct {
	*peer.Peer
	to   membership
	stop context.CancelFunc
	done chan struct{} // closed when the node has ended
	err  error         // how; valid once done is closed
}

// end stops the node and returns how it ended.
func (in *inside) end() error {
	in.stop()
	<-in.done
	return in.err
}

// moving is a request to change the cluster.
type moving struct {
	to    membership
	reply chan moved
}

// moved is how that went: the new node, once it is ready.
type moved struct {
	in  *inside
	err error
}

// serve runs the node and its API until ctx ends or one of them fails.
func (a *agent) serve(ctx context.Context, to membership, l net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a.front, a.moves = rest.NewFront(a.log), make(chan moving)
	server := a.front.HTTP()
	served := make(chan error, 1)
	go func() { served <- server.Serve(newCrowd(l, maxConns)) }()

	err := a.enter(ctx, to)
	if err == nil {
		a.printBanner(l)
		err = a.wait(ctx, served)
	}
	stop()
	shut, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = server.Shutdown(shut) // what is still being answered then is cut
	if a.in != nil {
		if ended := a.in.end(); err == nil {
			err = ended
		}
	}
	if errors.Is(err, peer.ErrLeft) {
		a.log.Info("left the cluster; this machine's key is kept")
		return a.dir.Forget()
	}
	if err == nil {
		a.log.Info("stopped; tasks go on running, and are adopted by the next agent or replaced by the other nodes in 60s")
	}
	return err
}

// enter makes the node of a cluster, has it work and answer, and joins if it is to.
// After an error there is no node.
func (a *agent) enter(ctx context.Context, to membership) error {
	a.in = nil
	p, err := a.node(ctx, to)
	if err != nil {
		return err
	}
	if err := p.Open(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	in := &inside{Peer: p, to: to, stop: stop, done: make(chan struct{})}
	go func() {
		in.err = p.Run(run)
		close(in.done)
	}()
	a.front.Set(rest.NewServer(a.serverConfig(in)))
	if err := a.join(ctx, in); err != nil {
		a.front.Set(nil)
		if ended := in.end(); ended != nil {
			a.log.WithError(ended).Warn("the node did not stop well after a failed join")
		}
		return err
	}
	a.in = in
	return nil
}

// join makes a node a member within the time given. If it comes to nothing the
// others are told so, and nothing is kept.
func (a *agent) join(ctx context.Context, in *inside) error {
	if in.to.within == 0 {
		return nil
	}
	jctx, cancel := context.WithTimeout(ctx, in.to.within)
	defer cancel()
	err := in.Join(jctx, in.to.seeds)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.withdraw(ctx, in)
	return err
}

// withdraw tells the others that a node will not be back.
func (a *agent) withdraw(ctx context.Context, in *inside) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := in.Withdraw(ctx); err != nil {
		a.log.WithError(err).Debug("leaving after a failed join")
	}
}

// wait blocks until the agent should end, and changes the cluster when asked to.
func (a *agent) wait(ctx context.Context, served chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.in.done:
			return a.in.err
		case err := <-served:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serve the API: %w", err)
		case m := <-a.moves:
			if err := a.move(ctx, m); err != nil || a.in == nil {
				return err
			}
		}
	}
}

// moveTo asks the agent, while it lives, to change the cluster, and waits until it has.
func (a *agent) moveTo(agent, ctx context.Context, to membership) (api.Joined, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(agent, cancel)()
	m := moving{to: to, reply: make(chan moved, 1)}
	select {
	case a.moves <- m:
	case <-ctx.Done():
		return api.Joined{}, ctx.Err()
	}
	select {
	case r := <-m.reply:
		if r.err != nil {
			return api.Joined{}, r.err
		}
		c, err := r.in.Cluster(ctx)
		return api.Joined{Cluster: c}, err
	case <-ctx.Done():
		return api.Joined{}, ctx.Err()
	}
}

// settled answers a request for which there is nothing to do with a node.
func (m moving) settled(in *inside) bool {
	if in.to.secret == m.to.secret { // somebody asked for the same before
		m.reply <- moved{in: in}
		return true
	}
	err := in.Unbound() // it moved, or got a job, since it was asked
	if err != nil {
		m.reply <- moved{err: err}
	}
	return err != nil
}

// move takes the node out of its own cluster, in which there was never anything,
// into another one. If that cannot be joined it goes back. An error ends the agent.
func (a *agent) move(ctx context.Context, m moving) error {
	old := a.in
	if m.settled(old) {
		return nil
	}
	a.log.WithField("cluster", m.to.secret.ClusterID()).Info("joining another cluster")
	a.front.Set(nil)
	if err := old.end(); err != nil {
		m.reply <- moved{err: err}
		return err
	}
	if m.settled(old) { // a job came in before it stopped
		return a.enter(ctx, membership{secret: old.to.secret, seeds: old.to.seeds})
	}
	_, member, err := a.dir.Secret()
	if err != nil {
		m.reply <- moved{err: err}
		return err
	}
	if err := a.replace(ctx, m.to); err != nil {
		a.log.WithError(err).Warn("the other cluster was not joined: going back")
		m.reply <- moved{err: api.Errorf(api.JoinFailed, "%v", err).WithHint("this node goes back to its own cluster")}
		return a.goBack(ctx, old.to, member)
	}
	a.log.WithField("cluster", m.to.secret.ClusterID()).Info("joined")
	m.reply <- moved{in: a.in}
	return nil
}

// goBack makes the node anew in the cluster that it was to be in before, of which it
// may have been a member.
func (a *agent) goBack(ctx context.Context, to membership, member bool) error {
	if err := a.dir.Forget(); err != nil {
		return err
	}
	to.fresh, to.within = member, 0 // if it ever was in it, it was alone
	if member {
		if err := a.dir.SetSecret(to.secret); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done(): // the next agent finds it as it was
		return nil
	default:
		return a.enter(ctx, to)
	}
}

// replace makes the node anew in another cluster, with nothing of the one before,
// and returns when it is ready there.
func (a *agent) replace(ctx context.Context, to membership) error {
	if err := a.dir.Forget(); err != nil {
		return err
	}
	if err := a.enter(ctx, to); err != nil {
		return err
	}
	if err := a.in.AwaitReady(ctx, to.within); err != nil {
		a.front.Set(nil)
		a.withdraw(ctx, a.in)
		return errors.Join(err, a.in.end())
	}
	return nil
}

// serverConfig is how a node is asked. Beyond loopback that takes the token.
func (a *agent) serverConfig(in *inside) rest.Config {
	cfg := rest.Config{Service: in.Peer, View: in.View, Revision: in.Revision, Log: a.log}
	metrics, requests := metricsOf(in)
	cfg.Metrics, cfg.Observe = metrics, requests.observe
	if a.flags.pprof {
		cfg.Debug = profiles()
	}
	if !staysHere(a.flags.api) {
		host, _, _ := net.SplitHostPort(a.flags.api)
		cfg.Token = in.to.secret.APIToken()
		name, _ := os.Hostname() // one more name it is reached by, if there is one
		gossipAddr, _ := in.Addresses()
		advertised, _, _ := net.SplitHostPort(gossipAddr)
		cfg.Hosts = []string{host, advertised, name}
	}
	return cfg
}
