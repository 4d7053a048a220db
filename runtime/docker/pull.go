package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/exitae337/orchestergo/api"
)

// tellEvery is how often progress of a pull is told of.
const tellEvery = 500 * time.Millisecond

// pull fetches p's image. It takes as long as ctx lets it. Without credentials it
// tries all the same, since most images are for everybody.
func (d *Driver) pull(ctx context.Context, p plan, progress func(api.TaskState, string)) error {
	tell := func(detail string) {
		if progress != nil {
			progress(api.Pulling, detail)
		}
	}
	tell("pulling " + p.image)
	auth, noAuth := credentials(ctx, p.image)
	err := d.engine.do(ctx, 0, func(ctx context.Context, l *link) error {
		body, err := l.ImagePull(ctx, p.image, image.PullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		defer body.Close()
		return readPull(body, tell)
	})
	d.images.changed()
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case noAuth != nil:
		return fmt.Errorf("image %s: %w (no credentials: %w)", p.image, err, noAuth)
	}
	return fmt.Errorf("image %s: %w", p.image, err)
}

// pullMessage is a line of the engine's answer to a pull.
type pullMessage struct {
	ID       string `json:"id"` // of a layer
	Status   string `json:"status"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error string `json:"error"`
}

// readPull reads the answer to its end, telling now and then how far it is.
func readPull(body io.Reader, tell func(string)) error {
	layers := layers{}
	last := time.Now()
	for in := json.NewDecoder(body); ; {
		var m pullMessage
		err := in.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the pull broke off: %w", err)
		}
		if m.Error != "" {
			return errors.New(words(errors.New(m.Error)))
		}
		layers.note(m)
		if now := time.Now(); now.Sub(last) >= tellEvery {
			last = now
			tell(layers.String())
		}
	}
}

// layers is how much of each layer of an image has come.
type layers map[string]layer

type layer struct{ current, total int64 }

// note takes a message into account. A layer counts from when its download begins,
// since nobody says its size before.
func (l layers) note(m pullMessage) {
	switch m.Status {
	case "Downloading":
		l[m.ID] = layer{m.Progress.Current, max(m.Progress.Total, m.Progress.Current)}
	case "Verifying Checksum", "Download complete", "Extracting", "Pull complete":
		if have, ok := l[m.ID]; ok {
			l[m.ID] = layer{have.total, have.total}
		}
	}
}

// String is for people: "41% of 68MiB", of what has begun to come.
func (l layers) String() string {
	var sum layer
	for _, one := range l {
		sum.current += one.current
		sum.total += one.total
	}
	switch {
	case sum.total == 0:
		return "waiting for the registry"
	case sum.current >= sum.total:
		return fmt.Sprintf("unpacking %s", api.Bytes(sum.total))
	}
	return fmt.Sprintf("%d%% of %s", 100*sum.current/sum.total, api.Bytes(sum.total))
}
