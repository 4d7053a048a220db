package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"

	"github.com/exitae337/orchestergo/api"
)

const (
	maxLine  = 16 << 10 // bytes; a longer line comes in pieces
	maxFrame = 1 << 20  // bytes; engines send a line, or 16 KiB of one, in a frame
)

// Logs reads the engine's log of the container, in the order in which the engine
// had the lines from both streams, and with its times; two lines of different streams
// written at once may come in either order. An engine keeps a
// line longer than 16 KiB in pieces, cut between any two bytes, and counts each of
// them as a line for o.Tail.
func (d *Driver) Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) error {
	_, c, err := d.inspect(ctx, id)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	for _, name := range o.Streams {
		if name != "stdout" && name != "stderr" {
			return fmt.Errorf("logs of %s: %.40q is none of stdout, stderr", c.Labels.Task(), name)
		}
	}
	if o.Tail == 0 && !o.Follow {
		return nil
	}
	if options := logOptions(o); o.Tail >= 0 && (options.ShowStdout != options.ShowStderr || options.Until != "") {
		if o, err = d.tail(ctx, id, o); err != nil {
			return fmt.Errorf("logs of %s: %w", c.Labels.Task(), err)
		}
	}
	said, err := d.logs(ctx, id, o, each)
	if err != nil && !said {
		return fmt.Errorf("logs of %s: %w", c.Labels.Task(), err)
	}
	return err
}

// logs asks the engine. It says whether an error came out of each.
func (d *Driver) logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) (said bool, err error) {
	var body io.ReadCloser
	done, err := d.engine.open(ctx, func(ctx context.Context, l *link) (err error) {
		body, err = l.ContainerLogs(ctx, id, logOptions(o))
		return err
	})
	if err != nil {
		return false, err
	}
	defer done()
	defer body.Close()
	err = lines(ctx, body, func(l api.LogLine) error {
		if l.Time.Before(o.Since) || !o.Until.IsZero() && l.Time.After(o.Until) {
			return nil
		}
		err := each(l)
		said = err != nil
		return err
	})
	return said, err
}

// tail turns the o.Tail of one stream, or of lines until a time, into the time
// since which there are so many: an engine counts lines before it leaves any out.
func (d *Driver) tail(ctx context.Context, id string, o api.LogOptions) (api.LogOptions, error) {
	var times []time.Time // of the lines wanted, and of the one before them, in order: the engine's may not be
	past := api.LogOptions{Tail: -1, Since: o.Since, Until: o.Until, Streams: o.Streams}
	_, err := d.logs(ctx, id, past, func(l api.LogLine) error {
		at, _ := slices.BinarySearchFunc(times, l.Time, time.Time.Compare)
		if times = slices.Insert(times, at, l.Time); len(times) > o.Tail+1 {
			times = times[1:]
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	if len(times) > o.Tail {
		o.Since = times[0].Add(1)
	}
	o.Tail = -1
	return o, nil
}

// logOptions is o in the engine's terms.
func logOptions(o api.LogOptions) container.LogsOptions {
	options := container.LogsOptions{
		ShowStdout: len(o.Streams) == 0 || slices.Contains(o.Streams, "stdout"),
		ShowStderr: len(o.Streams) == 0 || slices.Contains(o.Streams, "stderr"),
		Timestamps: true, Follow: o.Follow, Tail: "all",
	}
	if o.Tail >= 0 {
		options.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		options.Since = o.Since.Format(time.RFC3339Nano)
	}
	if !o.Until.IsZero() {
		options.Until = o.Until.Format(time.RFC3339Nano)
	}
	return options
}

// lines gives the lines of an engine's answer. Each frame of it is a line with its
// time before and its newline after it, which is missing from a piece of a line
// that goes on.
func lines(ctx context.Context, r io.Reader, each func(api.LogLine) error) error {
	in := bufio.NewReaderSize(r, 32<<10)
	for {
		stream, text, err := frame(in)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the log broke off: %w", err)
		}
		l := api.LogLine{Stream: stream}
		if stamp, rest, ok := bytes.Cut(text, []byte{' '}); ok {
			if t, err := time.Parse(time.RFC3339Nano, string(stamp)); err == nil {
				l.Time, text = t, rest
			}
		}
		text, whole := bytes.CutSuffix(text, []byte{'\n'})
		for begun := false; len(text) > 0 || !begun; begun = true {
			n := len(text)
			if n > maxLine {
				n = runeStart(text, maxLine)
			}
			l.Line = string(text[:n])
			text = text[n:]
			l.Partial = len(text) > 0 || !whole
			if err := each(l); err != nil {
				return err
			}
		}
	}
}

// frame reads one: a byte for the stream, three of nothing, the length, the text.
// It fails with io.EOF after the last.
func frame(in *bufio.Reader) (stream string, text []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", nil, err
	}
	size := binary.BigEndian.Uint32(head[4:])
	if size > maxFrame {
		return "", nil, fmt.Errorf("a frame of %d bytes", size)
	}
	text = make([]byte, size)
	if _, err := io.ReadFull(in, text); errors.Is(err, io.EOF) {
		return "", nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return "", nil, err
	}
	switch head[0] {
	case 1:
		return "stdout", text, nil
	case 2:
		return "stderr", text, nil
	case 3:
		return "", nil, fmt.Errorf("the engine says: %.400s", text)
	}
	return "", nil, fmt.Errorf("a frame of stream %d", head[0])
}

// runeStart is n, or a little less so as not to cut a character of b in two.
func runeStart(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}
