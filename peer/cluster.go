package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// Cluster describes the cluster, see api.Service.
func (p *Peer) Cluster(context.Context) (api.Cluster, error) {
	v := p.View()
	now := time.Now()
	c := api.Cluster{
		ID: p.cfg.Secret.ClusterID(), Nodes: api.NodeCount{Known: v.Known, Alive: v.Alive}, Isolated: v.Isolated, Synced: v.Synced,
		Profile: string(p.cfg.Profile), Versions: map[string]int{}, Alarms: []api.Alarm{},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Jobs, c.Ready = len(p.index.sortedJobs()), p.ready
	for _, n := range p.nodes(now) {
		if n.Alive && n.version != "" {
			c.Versions[n.version]++
		}
	}
	if v.Isolated {
		c.Alarms = append(c.Alarms, api.Alarm{Code: "isolated", Detail: fmt.Sprintf("node %s knows %d other nodes and sees none of them", p.cfg.Name, v.Known-1)})
	}
	c.Alarms = append(c.Alarms, p.alarms()...)
	return c, nil
}

// alarms are those of this node itself. Lock held.
func (p *Peer) alarms() []api.Alarm {
	var out []api.Alarm
	raise := func(code, format string, args ...any) {
		out = append(out, api.Alarm{Code: code, Detail: fmt.Sprintf(format, args...)})
	}
	if !p.ready {
		raise("not_ready", "node %s is not ready: %s", p.cfg.Name, p.notReady)
	}
	if off := p.clockOff(); off > clockLimit {
		raise("clock_off", "the clock of node %s is %s off from the other nodes'", p.cfg.Name, off.Round(time.Second))
	}
	for _, a := range p.around.Apart() {
		raise("versions", "%v", a)
	}
	for name, u := range p.index.unread {
		raise("unreadable", "node %s cannot read job %s, which node %s wrote, and leaves it and its tasks alone: %v", p.cfg.Name, name, p.wrote(u.stamp), u.why)
	}
	if since := p.replica.Full(); !since.IsZero() {
		raise("table_full", "the table of node %s is full, and it has refused records: orch rm removes jobs that are not needed", p.cfg.Name)
	}
	for name, why := range p.usable {
		if why != "" {
			raise("driver", "node %s cannot use its driver %s: %s", p.cfg.Name, name, why)
		}
	}
	slices.SortFunc(out, func(a, b api.Alarm) int { return cmp.Compare(a.Code+a.Detail, b.Code+b.Detail) })
	if p.asideLeft > 0 {
		raise("set_aside", "node %s set aside %s that the others did not know: orch recover lists and restores them", p.cfg.Name, plural(p.asideLeft, "job"))
	}
	return out
}

// JoinCluster makes this node a member of the cluster of a token, see api.Service.
// For another cluster than its own, its program has to make it anew.
func (p *Peer) JoinCluster(ctx context.Context, j api.Joining) (api.Joined, error) {
	secret, err := checkJoining(j)
	if err != nil {
		return api.Joined{}, err
	}
	if secret != p.cfg.Secret {
		if err := p.Unbound(); err != nil {
			return api.Joined{}, err
		}
		if p.cfg.Move == nil {
			return api.Joined{}, api.Errorf(api.NotSupported, "this program cannot change the cluster of node %s while it runs", p.cfg.Name)
		}
		return p.cfg.Move(ctx, secret, j)
	}
	already := p.Ready(ctx) == nil
	p.membership.Call(j.Peers)
	if err := p.AwaitReady(ctx, j.Within()); err != nil {
		return api.Joined{}, err
	}
	c, err := p.Cluster(ctx)
	return api.Joined{Already: already, Cluster: c}, err
}

// checkJoining reads the token. No error repeats it.
func checkJoining(j api.Joining) (Secret, error) {
	if err := j.Validate(); err != nil {
		return Secret{}, err
	}
	e := api.Errorf(api.Invalid, "the request to join is not valid")
	secret, err := ParseToken(j.Token)
	if err != nil {
		e.Fields = append(e.Fields, api.FieldError{Pointer: "#/token", Detail: err.Error()})
	}
	for i, addr := range j.Peers {
		if err := gossip.CheckAddress(addr); err != nil {
			e.Fields = append(e.Fields, api.FieldError{Pointer: fmt.Sprintf("#/peers/%d", i), Detail: err.Error()})
		}
	}
	if len(e.Fields) > 0 {
		return secret, e
	}
	return secret, nil
}

// Unbound is nil if nothing would be lost with this node's cluster: it is the only
// member, and no job was ever given to it. Otherwise it says what holds it. It may
// be asked after Run, when no answer changes any more.
func (p *Peer) Unbound() error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes, jobs, removed := 0, 0, 0
	for _, v := range p.nodes(now) {
		if !v.Left {
			nodes++
		}
	}
	p.replica.Range("j/", func(r gossip.Record) bool {
		if r.Removed {
			removed++
		} else {
			jobs++
		}
		return true
	})
	if nodes <= 1 && jobs+removed == 0 {
		return nil
	}
	had := plural(jobs, "job")
	if jobs == 0 && removed > 0 {
		had += ", and it had some"
	}
	return api.Errorf(api.OtherCluster, "this node belongs to cluster %s (%s, %s)", p.cfg.Secret.ClusterID(), plural(nodes, "node"), had).
		WithHint("orch leave first: two clusters are never merged")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// AwaitReady returns when this node is ready, or says why it is not after so long.
func (p *Peer) AwaitReady(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-p.ctx.Done():
			return errors.New("the node is stopping")
		case <-tick.C:
		}
	}
}
