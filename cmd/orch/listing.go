package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A listing has the flags of a command that prints a list.
type listing struct {
	form
	quiet   bool
	watch   bool
	filters []string
}

// register adds the flags; filters are the keys that --filter knows.
func (l *listing) register(cmd *cobra.Command, filters ...string) {
	l.form.register(cmd, "table")
	f := cmd.Flags()
	f.BoolVarP(&l.quiet, "quiet", "q", false, "print only names, as -o name does")
	f.BoolVar(&l.noTrunc, "no-trunc", false, "do not cut long texts and ids")
	f.BoolVarP(&l.watch, "watch", "w", false, "go on until Ctrl-C: redraw every second or, where that cannot be, print what changes")
	if len(filters) > 0 {
		f.StringArrayVarP(&l.filters, "filter", "f", nil, "show only what has `KEY=VALUE`; keys: "+strings.Join(filters, ", "))
		keys := slices.Clone(filters)
		for i := range keys {
			keys[i] += "="
		}
		complete(cmd, "filter", keys...)
	}
}

// checkListing refuses values that do not go together.
func checkListing[T any](l *listing, env *Env, cmd *cobra.Command) error {
	if err := checkForm[T](&l.form, env, cmd); err != nil {
		return err
	}
	if l.quiet {
		if cmd.Flags().Changed("output") && l.output != "name" || l.format != "" {
			return usageError(cmd, "-q and another form of output do not go together")
		}
		l.output = "name"
	}
	if l.watch && l.output == "json" {
		return usageError(cmd, "-w and -o json do not go together: one document is one answer (-o ndjson has one a line)")
	}
	return nil
}

// parseFilters reads key=value pairs with keys out of allowed. Several values of
// a key are alternatives.
func parseFilters(cmd *cobra.Command, filters []string, allowed ...string) (map[string][]string, error) {
	m := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || value == "" {
			return nil, usageError(cmd, "the filter %.80q is not KEY=VALUE", f)
		}
		if !slices.Contains(allowed, key) {
			return nil, usageError(cmd, "the filter %.80q is none of %s", key, strings.Join(allowed, ", "))
		}
		if !slices.Contains(m[key], value) {
			m[key] = append(m[key], value)
		}
	}
	return m, nil
}

// checkFilter refuses values of a filter that nothing can have.
func checkFilter(cmd *cobra.Command, key string, values, allowed []string) error {
	for _, value := range values {
		if err := checkWord(cmd, "-f "+key, value, allowed...); err != nil {
			return err
		}
	}
	return nil
}

// words are the values of a type of the API as text.
func words[T ~string](values ...T) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}

// oneOf says whether got is among the values of a filter, if there are any.
func oneOf(want []string, got string) bool { return len(want) == 0 || slices.Contains(want, got) }

// hasLabels says whether labels have each of want: "key" or "key=value".
func hasLabels(labels map[string]string, want []string) bool {
	for _, one := range want {
		key, value, both := strings.Cut(one, "=")
		if got, ok := labels[key]; !ok || both && got != value {
			return false
		}
	}
	return true
}

// labelsText is "a=1,b=2".
func labelsText(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

// A reader asks for what is listed.
type reader[T any] func(context.Context, client) (answer[T], error)

// show reads and prints a list, once or until ctx is done.
func (k kind[T]) show(env *Env, cmd *cobra.Command, l *listing, read reader[T]) error {
	if l.watch {
		return with(env, cmd, func(ctx context.Context, c client) error {
			w := &watcher[T]{env: env, kind: k, form: &l.form, warning: func() string { return viewWarning(c) }}
			return w.run(ctx, func(ctx context.Context) (answer[T], error) { return read(ctx, c) })
		})
	}
	return ask(env, cmd, func(ctx context.Context, c client) error {
		a, err := read(ctx, c)
		if err != nil {
			return err
		}
		return k.print(env.Stdout, &l.form, a)
	})
}

// readAll reads the list at path, without what keep drops.
func readAll[T any](ctx context.Context, c client, path string, keep func(T) bool) (answer[T], error) {
	body, err := c.Raw(ctx, path)
	if err != nil {
		return answer[T]{}, err
	}
	return readAnswer(body, keep)
}
