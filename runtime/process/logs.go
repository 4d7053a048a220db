package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

const (
	maxLine     = 16 << 10               // bytes; a longer line comes in pieces
	followEvery = 100 * time.Millisecond // how often the files are looked at
	endEvery    = 5                      // looks after which the end of the task is looked for, which costs more
)

// Logs reads the task's files. They hold no times, so the time of a line that was
// there before is an estimate: it lies between the task's start and the file's last
// write, in proportion to the line's place in the file. That keeps the order within
// a stream, and puts two streams together roughly. A line that comes while following
// has the time at which it was read, at most a tenth of a second late.
func (d *Driver) Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) error {
	a, err := d.load(id)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	ended := d.hasEnded(ctx, a) // asked before the files' sizes: then they are final
	sources, err := open(a, o)
	if err != nil {
		return fmt.Errorf("logs of %s: %w", a.labels.Task(), err)
	}
	defer func() {
		for _, s := range sources {
			s.file.Close()
		}
	}()
	give := func(l api.LogLine) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !within(l, o) {
			return nil
		}
		return each(l)
	}
	if err := past(sources, o, ended, give); err != nil || !o.Follow {
		return err
	}
	for looks := 0; ; looks++ {
		if looks%endEvery == 0 {
			ended = d.hasEnded(ctx, a)
		}
		for _, s := range sources {
			if err := s.drain(ended, give); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		if !sleep(ctx, followEvery) {
			return ctx.Err()
		}
	}
}

// hasEnded says whether this very run of the attempt is over; if it was restarted
// in place or removed, that one is.
func (d *Driver) hasEnded(ctx context.Context, a attempt) bool {
	now, err := d.load(a.id)
	return err != nil || !now.leader.same(a.leader) || d.look(ctx, now).State == runtime.Exited
}

// open opens the files of the streams that o asks for, where o's tail begins.
func open(a attempt, o api.LogOptions) ([]*source, error) {
	for _, name := range o.Streams {
		if name != "stdout" && name != "stderr" {
			return nil, fmt.Errorf("%.40q is none of stdout, stderr", name)
		}
	}
	var sources []*source
	fail := func(err error) ([]*source, error) {
		for _, s := range sources {
			s.file.Close()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w (it was removed)", runtime.ErrNotFound)
		}
		return nil, err
	}
	for _, name := range []string{"stdout", "stderr"} {
		if len(o.Streams) > 0 && !slices.Contains(o.Streams, name) {
			continue
		}
		f, err := os.Open(filepath.Join(a.dir, name+".log"))
		if err != nil {
			return fail(err)
		}
		s := &source{file: f, stream: name, start: a.leader.StartedAt}
		sources = append(sources, s)
		info, err := f.Stat()
		if err != nil {
			return fail(err)
		}
		s.size, s.last = info.Size(), info.ModTime()
		if o.Tail >= 0 && o.Until.IsZero() {
			if s.read, err = lastLines(f, s.size, o.Tail); err != nil {
				return fail(err)
			}
			s.given = s.read
		}
	}
	return sources, nil
}

// within says whether l was written in the time that o asks for.
func within(l api.LogLine, o api.LogOptions) bool {
	return !l.Time.Before(o.Since) && (o.Until.IsZero() || !l.Time.After(o.Until))
}

// past gives what is in the files already, in order of its estimated times. For a
// tail it reads them twice, to count first: a tail may be longer than memory.
func past(sources []*source, o api.LogOptions, ended bool, give func(api.LogLine) error) error {
	skip := 0
	if o.Tail >= 0 {
		begin := make([]source, len(sources))
		for i, s := range sources {
			begin[i] = *s
		}
		n := 0
		err := walk(sources, o, ended, func(l api.LogLine) error {
			if o.Until.IsZero() || !l.Time.After(o.Until) {
				n++
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, s := range sources {
			*s = begin[i]
		}
		skip = max(0, n-o.Tail)
	}
	return walk(sources, o, ended, func(l api.LogLine) error {
		if skip--; skip >= 0 {
			return nil
		}
		return give(l)
	})
}

// walk goes once through what is in the files already.
func walk(sources []*source, o api.LogOptions, ended bool, give func(api.LogLine) error) error {
	heads := make([]*api.LogLine, len(sources))
	for {
		first := -1
		for i, s := range sources {
			if heads[i] == nil {
				line, err := s.next(s.size)
				if line == nil && err == nil && (ended || !o.Follow) {
					line = s.remainder(!ended)
				}
				if err != nil {
					return err
				}
				if line != nil {
					line.Time = s.estimate()
				}
				heads[i] = line
			}
			if heads[i] != nil && (first < 0 || heads[i].Time.Before(heads[first].Time)) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		line := *heads[first]
		heads[first] = nil
		if err := give(line); err != nil {
			return err
		}
	}
}

// source is one stream's file while it is read.
type source struct {
	file        *os.File
	stream      string
	start, last time.Time // the task's start, and the last write before we came
	size        int64     // when we came
	read, given int64     // bytes read, and bytes that were given as lines
	buf         []byte    // what was read and not given
}

// next returns the next line, or piece of one, within the first limit bytes of the
// file, without its time; nil when it is not there yet.
func (s *source) next(limit int64) (*api.LogLine, error) {
	for {
		end := bytes.IndexByte(s.buf, '\n')
		if end >= 0 && end <= maxLine {
			return s.take(end, 1, false), nil
		}
		if len(s.buf) > maxLine {
			return s.take(runeStart(s.buf, maxLine), 0, true), nil
		}
		if info, err := s.file.Stat(); err != nil || info.Size() <= s.read {
			return nil, err
		}
		block := make([]byte, min(limit-s.read, 32<<10))
		n, err := s.file.ReadAt(block, s.read)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if n == 0 {
			return nil, nil
		}
		s.read += int64(n)
		s.buf = append(s.buf, block[:n]...)
	}
}

// remainder returns what follows the last newline, or nil.
func (s *source) remainder(partial bool) *api.LogLine {
	if len(s.buf) == 0 {
		return nil
	}
	return s.take(len(s.buf), 0, partial)
}

// take makes a line of the first n bytes read, and passes over skip more.
func (s *source) take(n, skip int, partial bool) *api.LogLine {
	line := &api.LogLine{Stream: s.stream, Line: string(s.buf[:n]), Partial: partial}
	s.buf = s.buf[n+skip:]
	s.given += int64(n + skip)
	return line
}

// estimate is the time of the line just taken.
func (s *source) estimate() time.Time {
	span := s.last.Sub(s.start)
	if span <= 0 || s.size == 0 {
		return s.start
	}
	return s.start.Add(time.Duration(float64(span) * float64(s.given) / float64(s.size)))
}

// drain gives what has come since, and the unfinished line if no more will come.
func (s *source) drain(ended bool, give func(api.LogLine) error) error {
	for {
		line, err := s.next(math.MaxInt64)
		if err != nil {
			return err
		}
		if line == nil && ended {
			line = s.remainder(false)
		}
		if line == nil {
			return nil
		}
		line.Time = time.Now()
		if err := give(*line); err != nil {
			return err
		}
	}
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

// lastLines is where the last n lines of the first size bytes of f begin. It reads
// backwards, so a long log costs no more than its end.
func lastLines(f io.ReaderAt, size int64, n int) (int64, error) {
	if n == 0 {
		return size, nil
	}
	block := make([]byte, 64<<10)
	for at := size; at > 0; {
		from := max(at-int64(len(block)), 0)
		b := block[:at-from]
		if _, err := f.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] != '\n' || from+int64(i) == size-1 { // the last newline begins no line
				continue
			}
			if n--; n == 0 {
				return from + int64(i) + 1, nil
			}
		}
		at = from
	}
	return 0, nil
}
