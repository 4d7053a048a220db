package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// maxTries bounds how often a write is made anew since another of this node was
// faster.
const maxTries = 100

// A change is one write to one job.
type change struct {
	name string
	key  UsedKey // of the request; the zero value if it has none
	opts api.WriteOptions
	// next makes the next version from the current one, which is nil if there never
	// was one and may be removed; nil says that nothing changes. The lock is held.
	next func(old *JobRecord, now time.Time) (*JobRecord, error)
}

// newChange is what all writes to the job of that name have in common; body is what
// is asked besides, so that a key cannot be used for two requests.
func newChange(what, name string, o api.WriteOptions, body any) change {
	c := change{name: name, opts: o}
	if o.Key != "" {
		c.key = usedKey(o.Key, what, name, body)
	}
	return c
}

// writeJob makes and stores the next version of a job, unless its conditions do not
// hold, nothing changes, or it was done before.
func (p *Peer) writeJob(ctx context.Context, c change) (api.Written, error) {
	if err := c.opts.Validate(); err != nil {
		return api.Written{}, err
	}
	for range maxTries {
		now := time.Now()
		p.mu.Lock()
		old := p.index.jobs[c.name]
		next, err := p.nextVersion(c, now)
		p.mu.Unlock()
		switch {
		case err != nil:
			return api.Written{}, err
		case next == nil:
			return p.confirm(ctx, c.name)
		}
		w, by, err := p.storeJob(ctx, next, now)
		if by == nil || err != nil {
			w.Created = old == nil || old.Removed
			return w, err
		}
		if ctx.Err() != nil {
			break
		}
		p.catchUp([]gossip.Record{by.record})
		if by.elsewhere && !p.knows(c) {
			return api.Written{}, p.overtaken(c.name)
		}
	}
	return api.Written{}, p.overtaken(c.name)
}

// knows says whether the index has the request.
func (p *Peer) knows(c change) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.opts.Key != "" && p.index.jobs[c.name].hasKey(c.key)
}

// nextVersion is the record that carries ch out, or nil if there is nothing to do.
// Lock held.
func (c *core) nextVersion(ch change, now time.Time) (*JobRecord, error) {
	if err := c.readyLocked(); err != nil {
		return nil, err
	}
	if ch.opts.Key != "" {
		if done, err := c.index.done(ch.name, ch.key); done || err != nil {
			return nil, err
		}
	}
	if err := c.unreadJob(ch.name); err != nil {
		return nil, err
	}
	old := c.index.jobs[ch.name]
	if old == nil || old.Removed {
		if !ch.opts.Meets("") {
			return nil, api.Errorf(api.Stale, "no job %s is there, and the request has a condition on it", ch.name).WithHint("orch jobs lists them")
		}
	} else if !ch.opts.Meets(old.ETag) {
		return nil, c.stale(old, now)
	}
	next, err := ch.next(old, now)
	if err != nil || next == nil {
		return nil, err
	}
	// A version is written whole, by what this release knows of it. To carry over what it
	// does not know would be to guess what that means beside the change; to refuse loses
	// nothing, and there is a node that can: the one that wrote it.
	if old != nil && !old.Removed && old.Unknown != "" && !next.Removed {
		return nil, c.newerRelease(old)
	}
	next.rehash(old)
	if ch.opts.Key != "" {
		next.Keys = remember(next.Keys, ch.key)
	}
	return next, nil
}

// rehash sets the template hash of j, which was made of old: the one that it had, as
// long as its tasks are made of the same.
func (j *JobRecord) rehash(old *JobRecord) {
	if old != nil && old.Life() == j.Life() && old.Spec.TemplateHash(old.RestartSeq) == j.Spec.TemplateHash(j.RestartSeq) {
		j.Hash = old.Hash
		return
	}
	j.Hash = j.Spec.TemplateHash(j.RestartSeq)
}

// unreadJob is the refusal of any request about a job whose record cannot be read; nil
// if it can, or there is none. Lock held.
func (c *core) unreadJob(name string) error {
	u, ok := c.index.unread[name]
	if !ok {
		return nil
	}
	return api.Errorf(api.NewerRelease, "node %s cannot read job %s, which node %s wrote: %v", c.cfg.Name, name, c.wrote(u.stamp), u.why).
		WithHint("ask a node of the release that wrote it, or upgrade this one")
}

// newerRelease is the refusal to write over what this release does not know. Lock held.
func (c *core) newerRelease(j *JobRecord) error {
	return api.Errorf(api.NewerRelease, "job %s has the field %.80s, which this node (%s, orch %s) does not know and would lose; node %s wrote it",
		j.Spec.Name, j.Unknown, c.cfg.Name, c.cfg.Version.Version, c.wrote(j.Stamp)).
		WithHint("ask a node of the release that wrote it, or upgrade this one")
}

// wrote names the node that wrote a record, with its release if it is known. Lock held.
func (c *core) wrote(s gossip.Stamp) string {
	id, _, _ := strings.Cut(s.Writer, ".") // of its boot
	name := api.NodeID(id).Short()
	if m := c.index.members[api.NodeID(id)]; m != nil {
		name = m.Name
	}
	if m, ok := gossip.Newest(c.around.Members())[id]; ok && m.Tags[tagVersion] != "" {
		name += " (orch " + m.Tags[tagVersion] + ")"
	}
	return name
}

// stale is the refusal of a write whose condition the job does not meet. Lock held.
func (c *core) stale(j *JobRecord, now time.Time) error {
	job := c.job(j, c.nodes(now), now)
	e := api.Errorf(api.Stale, "job %s is not as the request wants it: it is at generation %d, ETag %s", j.Spec.Name, j.Version(), j.ETag).
		WithHint("look at it again, and repeat what is still wanted")
	e.Current = &job
	return e
}

// overtaken is the refusal of a write beside which somebody made a greater one.
func (p *Peer) overtaken(name string) error {
	now := time.Now()
	e := api.Errorf(api.Stale, "job %s was changed elsewhere at the same time", name).WithHint("look at it again, and repeat what is still wanted")
	p.mu.Lock()
	defer p.mu.Unlock()
	if j := p.index.jobs[name]; j != nil && !j.Removed {
		job := p.job(j, p.nodes(now), now)
		e.Current = &job
	}
	return e
}

// newLife is the first version of a new life of a job. Lock held.
func (c *core) newLife(spec api.Job, old *JobRecord, now time.Time) (*JobRecord, error) {
	if off := c.clockOff(); off > clockLimit {
		e := api.Errorf(api.ClockOff, "the clock of node %s is %s off from the other nodes'", c.cfg.Name, off.Round(time.Second)).
			WithHint("set the clocks right (chrony, systemd-timesyncd) or ask another node")
		e.RetryAfter = 30 * time.Second
		return nil, e
	}
	j := &JobRecord{Spec: spec, UpdatedAt: now.UTC(), Stamp: gossip.Stamp{Major: uint64(now.UnixMilli()), Minor: 1, Writer: c.writer()}}
	if old != nil {
		j.Stamp.Major = max(j.Stamp.Major, old.Stamp.Major+1)
		j.Keys = old.Keys
	}
	return j, nil
}

// nextOf is the version after old, to be changed further.
func (c *core) nextOf(old *JobRecord, now time.Time) *JobRecord {
	next := *old
	next.UpdatedAt = now.UTC()
	next.Stamp.Minor, next.Stamp.Writer = old.Version()+1, c.writer()
	return &next
}

// asRead is the specification with what tells its version.
func (j *JobRecord) asRead() *api.Job {
	spec := j.Spec
	spec.ID, spec.Generation, spec.ETag = fmt.Sprintf("%s-%d", j.Spec.Name, j.Life()), j.Version(), j.ETag
	spec.Template = j.Hash
	spec.CreatedAt, spec.UpdatedAt = time.UnixMilli(j.Life()).UTC(), j.UpdatedAt
	return &spec
}

// greater is a record that a write met in its place.
type greater struct {
	record    gossip.Record
	elsewhere bool // on another node; ours was stored here, and is void
}

// storeJob writes one job record to the disks that make it safe. The answer is the
// job as it then is.
func (p *Peer) storeJob(ctx context.Context, j *JobRecord, now time.Time) (api.Written, *greater, error) {
	r, err := j.record(now)
	if err != nil {
		return api.Written{}, nil, err
	}
	wanted := p.disksWanted()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	ack, err := p.replica.Replicate(ctx, wanted, r)
	p.look()
	var stale *gossip.StaleError
	switch {
	case errors.As(err, &stale):
		return api.Written{}, &greater{record: stale.Current[0]}, nil
	case errors.Is(err, gossip.ErrFull):
		return api.Written{}, nil, p.tableFull(err)
	case err != nil:
		return api.Written{}, nil, fmt.Errorf("store job %s: %w", j.Spec.Name, err)
	case len(ack.Greater) > 0:
		return api.Written{}, &greater{record: ack.Greater[0], elsewhere: true}, nil
	}
	w, err := p.written(r, ack.Disks, wanted)
	return w, nil, err
}

// tableFull is the refusal of a write for which there is no room.
func (c *core) tableFull(err error) error {
	return api.Errorf(api.TableFull, "node %s has no room for the record: %v", c.cfg.Name, err).
		WithHint("orch jobs lists the jobs, and orch rm removes those that are not needed; their records keep their place for a day")
}

// confirm is the answer to a write that was there already: it is spread again, to
// say truly on how many disks it is.
func (p *Peer) confirm(ctx context.Context, name string) (api.Written, error) {
	wanted := p.disksWanted()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	ack, err := p.replica.Confirm(ctx, wanted, jobKey(name))
	if err != nil {
		return api.Written{}, fmt.Errorf("store job %s: %w", name, err)
	}
	r, _ := p.replica.Get(jobKey(name))
	w, err := p.written(r, ack.Disks, wanted)
	w.Existed = true
	return w, err
}

// written is the answer about r, which the table has.
func (p *Peer) written(r gossip.Record, disks, wanted int) (api.Written, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(r, now)
	cur := p.index.jobs[r.Key[len(jobKey("")):]]
	if cur == nil || cur.Stamp.Compare(r.Stamp) != 0 {
		var err error
		if cur, err = decodeJob(r); err != nil {
			return api.Written{}, err
		}
	}
	return api.Written{Job: p.job(cur, p.nodes(now), now), Disks: disks, Wanted: wanted}, nil
}

// disksWanted is how many disks make a write safe: of three nodes, or of all where
// there are fewer. A node that is here and ready counts although its member record
// has not arrived yet.
func (p *Peer) disksWanted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.safeOn(time.Now())
}

// safeOn is disksWanted with the lock held.
func (c *core) safeOn(now time.Time) int {
	n := 0
	for _, m := range c.index.members {
		if !m.Removed {
			n++
		}
	}
	for id, v := range c.nodes(now) {
		if c.index.members[id] == nil && v.Coordinates() {
			n++
		}
	}
	return max(1, min(durableDisks, n))
}
