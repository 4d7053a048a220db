package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// forms are the values of -o that a command which answers with things of the API
// knows.
var forms = []string{"table", "wide", "json", "ndjson", "csv", "name"}

// A form has the flags that say how an answer is printed.
type form struct {
	known   []string // the values of output; nil is forms
	output  string   // one of them, or "template"
	format  string
	noTrunc bool
	cut     int
	colour  bool
}

// register adds -o, whose value is usual unless given, and --format.
func (f *form) register(cmd *cobra.Command, usual string) {
	if f.known == nil {
		f.known = forms
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", usual, "print in a `FORM`: "+strings.Join(f.known, ", "))
	cmd.Flags().StringVar(&f.format, "format", "", "print each thing as this Go `TEMPLATE` says ('{{.Name}}'), or json")
	complete(cmd, "output", f.known...)
	complete(cmd, "format", "json", "{{json .}}")
}

// checkForm refuses values that do not go together, and a template that no T can
// be printed with.
func checkForm[T any](f *form, env *Env, cmd *cobra.Command) error {
	if err := checkOutput(cmd, f.output, f.known...); err != nil {
		return err
	}
	if !f.noTrunc && env.IsTerminal(env.Stdout) {
		f.cut = maxCell
	}
	f.colour = coloured(env, cmd, env.Stdout)
	switch {
	case !cmd.Flags().Changed("format"):
		return nil
	case cmd.Flags().Changed("output"):
		return usageError(cmd, "-o and --format do not go together")
	case f.format == "json":
		f.output = "ndjson"
		return nil
	}
	f.output = "template"
	if err := checkTemplate[T](f.format); err != nil {
		return usageError(cmd, "--format %.80q: %s", f.format, err)
	}
	return nil
}

// checkOutput refuses a value of -o that is not allowed.
func checkOutput(cmd *cobra.Command, value string, allowed ...string) error {
	return checkWord(cmd, "-o", value, allowed...)
}

// checkWord refuses a value of a flag that is not allowed.
func checkWord(cmd *cobra.Command, flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usageError(cmd, "%s %.80q is none of %s", flag, value, strings.Join(allowed, ", "))
}

// A column shows one property of a T: to people in a cell, to programs as a value.
type column[T any] struct {
	head  string // in tables; "" leaves it out
	key   string // in CSV; "" leaves it out
	wide  bool   // in tables only with -o wide
	state bool   // is coloured
	age   bool   // changes by itself: no news to who watches
	cell  func(T) string
	value func(T) string // nil is cell, with nothing for "-"
}

// plain is the property for a program.
func (c column[T]) plain(v T) string {
	if c.value != nil {
		return c.value(v)
	}
	if s := c.cell(v); s != "-" {
		return s
	}
	return ""
}

// A kind says how the Ts of an answer are printed.
type kind[T any] struct {
	name    func(T) string // for -o name
	key     func(T) string // tells Ts apart; nil is name
	columns []column[T]
}

// id tells v from the others of a list.
func (k kind[T]) id(v T) string {
	if k.key != nil {
		return k.key(v)
	}
	return k.name(v)
}

// An entry is a T, and what the API said of it.
type entry[T any] struct {
	raw   json.RawMessage
	value T
}

// An answer is things of the API. Its body is what -o json prints.
type answer[T any] struct {
	body    []byte
	entries []entry[T]
}

// readAnswer reads the API's answer: one T, or a list of them of which those are
// kept that keep says; nil keeps all. If all are kept the body is not touched.
func readAnswer[T any](body []byte, keep func(T) bool) (answer[T], error) {
	var raw []json.RawMessage
	isList := bytes.HasPrefix(bytes.TrimSpace(body), []byte("["))
	if !isList {
		raw = []json.RawMessage{body}
	} else if err := json.Unmarshal(body, &raw); err != nil {
		return answer[T]{}, fmt.Errorf("the answer is not in the form of orch's API (is that its address?): %w", err)
	}
	a := answer[T]{body: body}
	for _, one := range raw {
		e := entry[T]{raw: bytes.TrimSpace(one)}
		if err := json.Unmarshal(one, &e.value); err != nil {
			return answer[T]{}, fmt.Errorf("the answer is not in the form of orch's API (is that its address?): %w", err)
		}
		if keep == nil || keep(e.value) {
			a.entries = append(a.entries, e)
		}
	}
	if isList && len(a.entries) < len(raw) {
		a.body = a.joined()
	}
	return a, nil
}

// joined is the entries as one array, on one line.
func (a answer[T]) joined() []byte {
	parts := make([][]byte, len(a.entries))
	for i, e := range a.entries {
		parts[i] = e.raw
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]\n"))
}

// print writes a in the form that f asks for.
func (k kind[T]) print(out io.Writer, f *form, a answer[T]) error {
	switch f.output {
	case "json":
		_, err := out.Write(a.body)
		return err
	case "csv":
		return k.csv(out, a, true)
	case "table", "wide":
		return k.table(f, a).print(out)
	case "template":
		return printTemplate(out, f.format, a)
	}
	for _, e := range a.entries {
		line := e.raw
		if f.output == "name" {
			line = []byte(clean(k.name(e.value)))
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// table has the columns that f asks for.
func (k kind[T]) table(f *form, a answer[T]) *table {
	t := &table{cut: f.cut, paint: map[int]bool{}}
	var shown []column[T]
	for _, c := range k.columns {
		if c.head == "" || c.wide && f.output != "wide" {
			continue
		}
		if c.state && f.colour {
			t.paint[len(shown)] = true
		}
		shown, t.header = append(shown, c), append(t.header, c.head)
	}
	for _, e := range a.entries {
		row := make([]string, len(shown))
		for i, c := range shown {
			row[i] = c.cell(e.value)
		}
		t.add(row...)
	}
	return t
}

// csv writes all columns that have a key. Control characters are escaped: a file
// of them may end up on a terminal, too.
func (k kind[T]) csv(out io.Writer, a answer[T], header bool) error {
	w := csv.NewWriter(out)
	var head []string
	for _, c := range k.columns {
		if c.key != "" {
			head = append(head, c.key)
		}
	}
	if header {
		_ = w.Write(head) // Error tells
	}
	for _, e := range a.entries {
		var row []string
		for _, c := range k.columns {
			if c.key != "" {
				row = append(row, clean(c.plain(e.value)))
			}
		}
		_ = w.Write(row)
	}
	w.Flush()
	return w.Error()
}
