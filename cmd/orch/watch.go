package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// watchEvery is how often a list that is watched is read.
const watchEvery = time.Second

// A watcher prints a list again and again: on a terminal each picture takes the
// place of the one before; elsewhere a line is printed for each thing that is new
// or has changed.
type watcher[T any] struct {
	env     *Env
	kind    kind[T]
	form    *form
	warning func() string     // of what the node that answered cannot see
	known   map[string]string // what was printed last, by name
}

// run reads and prints until ctx is done.
func (w *watcher[T]) run(ctx context.Context, read func(context.Context) (answer[T], error)) error {
	redraw := canRedraw(w.env, w.env.Stdout) && !slices.Contains([]string{"ndjson", "csv"}, w.form.output)
	warned := ""
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, answerLimit)
		a, err := read(one)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && redraw:
			picture := bytes.NewBufferString("\x1b[H\x1b[2J")
			if err = w.kind.print(picture, w.form, a); err == nil { // at once, lest it flickers
				_, err = picture.WriteTo(w.env.Stdout)
			}
		case err == nil:
			err = w.changes(a)
		}
		if err != nil {
			return err
		}
		if warning := w.warning(); redraw || warning != warned {
			fmt.Fprint(w.env.Stderr, warning)
			warned = warning
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// changes prints what of a is not as it was printed before.
func (w *watcher[T]) changes(a answer[T]) error {
	first := w.known == nil
	now, changed := map[string]string{}, answer[T]{}
	for _, e := range a.entries {
		var news []string
		for _, c := range w.kind.columns {
			if !c.age {
				news = append(news, c.plain(e.value))
			}
		}
		name := w.kind.id(e.value)
		now[name] = strings.Join(news, "\x00")
		if before, was := w.known[name]; !was || before != now[name] {
			changed.entries = append(changed.entries, e)
		}
	}
	var gone []string
	for name := range w.known {
		if _, is := now[name]; !is {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	w.known = now
	switch w.form.output {
	case "csv":
		return w.kind.csv(w.env.Stdout, changed, first)
	case "table", "wide":
		return w.rows(changed, gone, first)
	}
	return w.kind.print(w.env.Stdout, w.form, changed)
}

// rows prints changes with their time; the header only once.
func (w *watcher[T]) rows(changed answer[T], gone []string, first bool) error {
	at := w.env.Now().UTC().Format(time.RFC3339)
	t := w.kind.table(w.form, changed)
	t.header = append([]string{"TIME"}, t.header...)
	for i, row := range t.rows {
		t.rows[i] = append([]string{at}, row...)
	}
	for _, name := range gone {
		t.add(at, name, "gone")
	}
	paint := map[int]bool{}
	for i := range t.paint {
		paint[i+1] = true
	}
	t.paint = paint
	lines := t.lines()
	if !first {
		lines = lines[1:]
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w.env.Stdout, line); err != nil {
			return err
		}
	}
	return nil
}
