package main

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
)

// A teller prints what a command did to several things: each as soon as it is done
// or, where all are below one header, together in the end.
type teller[T any] struct {
	out  io.Writer
	kind kind[T]
	form *form
	kept answer[T]
}

// tell prints a, or keeps it for the end.
func (t *teller[T]) tell(a answer[T]) error {
	if slices.Contains([]string{"table", "wide", "csv"}, t.form.output) {
		t.kept.entries = append(t.kept.entries, a.entries...)
		return nil
	}
	return t.kind.print(t.out, t.form, a)
}

// end prints what was kept.
func (t *teller[T]) end() error {
	if len(t.kept.entries) == 0 {
		return nil
	}
	return t.kind.print(t.out, t.form, t.kept)
}

// answerOf is v as the API would answer with it: for what is gone, and can not be
// asked for any more.
func answerOf[T any](v T) (answer[T], error) { return encoded[T](v) }

// answerOfAll is answerOf for a list.
func answerOfAll[T any](list []T) (answer[T], error) { return encoded[T](append([]T{}, list...)) }

func encoded[T any](v any) (answer[T], error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return answer[T]{}, err
	}
	return readAnswer[T](b.Bytes(), nil)
}
