package peer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/exitae337/orchestergo/runtime"
)

// Timing of what is asked of the drivers.
const (
	relistEvery = 5 * time.Second
	checkEvery  = 10 * time.Second // or at once when a list says otherwise than the last check

	listShare    = 3                      // so many times as long as the last list took, the engines have before the next
	listPauseMax = 200 * time.Millisecond // but not longer
)

// list brings the list of containers up to date. Lists are made one at a time, so
// the last one stored is the newest. Whoever waited for his turn while another
// began has what he wanted: an engine that hangs costs all of them one deadline.
// After a list the engines get time for other work, so that those who start many
// containers at once share their lists instead of making the engine busy with them.
func (p *Peer) list(ctx context.Context) {
	asked := p.listAsked.Add(1)
	select {
	case p.listing <- struct{}{}:
		defer func() { <-p.listing }()
	case <-ctx.Done():
		return
	}
	if p.listBegun >= asked {
		return
	}
	if !pause(ctx, time.Until(p.listNext)) {
		return
	}
	p.listBegun = p.listAsked.Load()
	began := time.Now()
	defer func() {
		now := time.Now()
		p.listNext = now.Add(min(listShare*now.Sub(began), listPauseMax))
	}()
	names := slices.Sorted(maps.Keys(p.drivers))
	lists, errs := make([][]runtime.Container, len(names)), make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names { // all at once: one that hangs holds up no other's
		asking.Go(func() {
			lctx, cancel := context.WithTimeout(ctx, engineWait)
			defer cancel()
			lists[i], errs[i] = p.drivers[name].List(lctx)
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return
	}
	var all []Held
	unlisted := map[string]bool{}
	for i, name := range names {
		p.noteList(name, errs[i])
		if errs[i] != nil {
			if !p.listedBefore() {
				return // without a list nothing may be decided
			}
			unlisted[name] = true
			all = append(all, p.heldBy(name)...) // better an old list than none
			continue
		}
		for _, c := range lists[i] {
			all = append(all, Held{Driver: name, Container: c})
		}
	}
	p.mu.Lock()
	p.containers, p.unlisted, p.listed = all, unlisted, true
	p.mu.Unlock()
	p.look()
}

// pause waits for d, and says whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	return ctx.Err() == nil
}

// noteList has a driver checked whose list says otherwise than the last check, and
// logs a fault once.
func (p *Peer) noteList(driver string, err error) {
	p.mu.Lock()
	usable := p.usable[driver] == ""
	p.mu.Unlock()
	if (err == nil) == usable {
		return
	}
	if err != nil {
		p.log.WithError(err).WithField("driver", driver).Warn("containers cannot be listed")
	}
	poke(p.recheck)
}

func (p *Peer) listedBefore() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listed
}

// heldBy is the last list of one driver's containers.
func (p *Peer) heldBy(driver string) []Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.containers), func(h Held) bool { return h.Driver != driver })
}

// watchContainers keeps the list of containers and the health of the drivers up
// to date until ctx ends.
func (p *Peer) watchContainers(ctx context.Context) error {
	errs := make(chan error, len(p.drivers))
	var watchers sync.WaitGroup
	defer watchers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the watchers are waited for
	for _, d := range p.drivers {
		watchers.Go(func() {
			if err := d.Watch(ctx, func() { poke(p.relist) }); err != nil && ctx.Err() == nil {
				errs <- fmt.Errorf("watch %s: %w", d.Name(), err)
			}
		})
	}
	p.checkDrivers(ctx)
	p.list(ctx)
	watchers.Go(func() { p.keepChecking(ctx) }) // beside the lists, which an engine that hangs holds up
	list := time.NewTicker(relistEvery)
	defer list.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-errs:
			return err
		case <-p.relist:
			p.list(ctx)
		case <-list.C:
			p.list(ctx)
		}
	}
}

// keepChecking checks the drivers now and then, and when poked, until ctx ends.
func (p *Peer) keepChecking(ctx context.Context) {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
		case <-p.recheck:
		}
		p.checkDrivers(ctx)
	}
}

// checkDrivers asks every driver whether it could start something.
func (p *Peer) checkDrivers(ctx context.Context) {
	for name, d := range p.drivers {
		cctx, cancel := context.WithTimeout(ctx, engineWait)
		err := d.Check(cctx)
		cancel()
		if ctx.Err() != nil {
			return
		}
		why := ""
		if err != nil {
			why = err.Error()
		}
		p.mu.Lock()
		if p.usable[name] != why {
			p.log.WithField("driver", name).WithField("fault", why).Info("driver changed")
		}
		p.usable[name] = why
		p.mu.Unlock()
	}
}

// faults sums up for other nodes why drivers of this one cannot be used. Lock held.
func (c *core) faults() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(c.drivers)) {
		if why := c.usable[name]; why != "" {
			words = append(words, name+": "+why)
		}
	}
	return strings.Join(words, "; ")
}

// shortened is s, or as much of it as fits into so many bytes.
func shortened(s string, most int) string {
	const more = "…"
	switch {
	case len(s) <= most:
		return s
	case most < len(more):
		return ""
	}
	s = s[:most-len(more)]
	for len(s) > 0 && !utf8.ValidString(s) { // cut in the middle of a character
		s = s[:len(s)-1]
	}
	return s + more
}
