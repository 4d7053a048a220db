package docker

import (
	"context"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
)

const (
	imagesFresh = 30 * time.Second       // how long a list of the engine's images is good enough for a bid
	imagesWait  = 100 * time.Millisecond // how long HasImage waits for a new one
)

// images is what the engine had when it was last asked.
type images struct {
	mu    sync.Mutex      // guards the fields below
	names map[string]bool // by canonical name; replaced, never changed
	asked time.Time       // zero makes the next HasImage ask
	busy  chan struct{}   // closed when the asking under way has ended; nil if none is
}

// HasImage says whether the engine had the image at most half a minute ago. It
// asks the engine when it does not know, waits a tenth of a second for that, and
// answers from what it knew before if that is not enough; an engine that hangs
// costs the tenth once in half a minute.
func (d *Driver) HasImage(name string) bool {
	name, ok := canonical(name)
	if !ok {
		return false
	}
	m := &d.images
	m.mu.Lock()
	if m.busy == nil && time.Since(m.asked) > imagesFresh {
		m.busy, m.asked = make(chan struct{}), time.Now()
		go d.askImages()
	}
	busy, wait := m.busy, imagesWait-time.Since(m.asked)
	m.mu.Unlock()
	if busy != nil && wait > 0 {
		select {
		case <-busy:
		case <-time.After(wait):
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[name]
}

// askImages asks the engine. If that fails, what was known stays until it is asked
// again.
func (d *Driver) askImages() {
	var list []image.Summary
	err := d.engine.do(context.Background(), callTime, func(ctx context.Context, l *link) (err error) {
		list, err = l.ImageList(ctx, image.ListOptions{})
		return err
	})
	m := &d.images
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.names = namesOf(list)
	}
	close(m.busy)
	m.busy = nil
}

// changed makes the next HasImage ask the engine.
func (m *images) changed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = time.Time{}
}

// namesOf are the canonical names of all that can be started without a pull.
func namesOf(list []image.Summary) map[string]bool {
	names := map[string]bool{}
	for _, i := range list {
		names[i.ID] = true
		for _, some := range [][]string{i.RepoTags, i.RepoDigests} {
			for _, s := range some {
				if name, ok := canonical(s); ok {
					names[name] = true
				}
			}
		}
	}
	return names
}

// canonical is the one long form of an image's name: with registry, and with a
// digest or else a tag.
func canonical(name string) (string, bool) {
	parsed, err := reference.ParseAnyReference(name)
	if err != nil {
		return "", false
	}
	ref, ok := parsed.(reference.Named)
	if !ok {
		return parsed.String(), true // "sha256:…", an ID
	}
	if digested, ok := ref.(reference.Digested); ok { // then a tag means nothing
		if ref, err = reference.WithDigest(reference.TrimNamed(ref), digested.Digest()); err != nil {
			return "", false
		}
		return ref.String(), true
	}
	return reference.TagNameOnly(ref).String(), true
}
