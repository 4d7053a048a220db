package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// maxCell is how many characters of free text a table on a terminal shows.
const maxCell = 60

// A table is a header and rows, and how to print them.
type table struct {
	header []string
	rows   [][]string
	cut    int // the longest that a cell may be; 0 is no limit
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the columns with two spaces between them.
func (t *table) print(w io.Writer) error {
	for _, line := range t.lines() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// lines is the table as text. Cells are cleaned: names and reasons come from
// other machines.
func (t *table) lines() []string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	rows := t.rows
	if t.header != nil {
		rows = slices.Concat([][]string{t.header}, rows)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = shorten(clean(c), t.cut)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	_ = tw.Flush() // to memory
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

// clean makes s safe to print: what would move a terminal's cursor, change its
// colours or reverse the text is shown as an escape.
func clean(s string) string {
	unsafe := func(r rune) bool {
		return unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafe(r) && r != unicode.ReplacementChar {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// shorten cuts s to n characters, the last of them an ellipsis; 0 cuts nothing.
func shorten(s string, n int) string {
	r := []rune(s)
	if n <= 0 || len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// span is a length of time in its largest unit: "4s", "3m", "2h", "5d".
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(0, d).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// since is the time from t to now for a column, "-" if t is not known.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(now.Sub(t))
}

// ago is since in a sentence: "3m ago", and "now" for what is under two seconds.
func ago(now, t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case now.Sub(t) < 2*time.Second:
		return "now"
	}
	return since(now, t) + " ago"
}

// A listing has the flags of a command that prints a list.
type listing struct {
	output  string
	quiet   bool
	noTrunc bool
	watch   bool
	filters []string
}

// register adds the flags; filters are the keys that --filter knows.
func (l *listing) register(cmd *cobra.Command, filters ...string) {
	f := cmd.Flags()
	f.StringVarP(&l.output, "output", "o", "table", "`FORMAT`: table, wide, json or name")
	f.BoolVarP(&l.quiet, "quiet", "q", false, "print only names, as -o name does")
	f.BoolVar(&l.noTrunc, "no-trunc", false, "do not cut long texts")
	f.BoolVarP(&l.watch, "watch", "w", false, "print again every second, until Ctrl-C")
	f.StringArrayVarP(&l.filters, "filter", "f", nil, "show only what has `KEY=VALUE`; keys: "+strings.Join(filters, ", "))
}

// check refuses values that do not go together.
func (l *listing) check(cmd *cobra.Command) error {
	if err := checkOutput(cmd, l.output, "table", "wide", "json", "name"); err != nil {
		return err
	}
	if l.quiet {
		if l.output == "json" || l.output == "wide" {
			return usageError(cmd, "-q and -o %s do not go together", l.output)
		}
		l.output = "name"
	}
	if l.watch && l.output == "json" {
		return usageError(cmd, "-w and -o json do not go together: one document is one answer")
	}
	return nil
}

// wide says whether the further columns are wanted.
func (l *listing) wide() bool { return l.output == "wide" }

// table makes one with cells cut as the flags and the screen ask for.
func (l *listing) table(env *Env, header ...string) *table {
	t := &table{header: header}
	if !l.noTrunc && env.IsTerminal(env.Stdout) {
		t.cut = maxCell
	}
	return t
}

// checkOutput refuses a value of -o that is not allowed.
func checkOutput(cmd *cobra.Command, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usageError(cmd, "-o %q is none of %s", value, strings.Join(allowed, ", "))
}

// parseFilters reads key=value pairs with keys out of allowed, each at most once.
func parseFilters(cmd *cobra.Command, filters []string, allowed ...string) (map[string]string, error) {
	m := map[string]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || value == "" {
			return nil, usageError(cmd, "the filter %q is not KEY=VALUE", f)
		}
		if !slices.Contains(allowed, key) {
			return nil, usageError(cmd, "the filter %q is none of %s", key, strings.Join(allowed, ", "))
		}
		if _, twice := m[key]; twice {
			return nil, usageError(cmd, "the filter %q is given twice", key)
		}
		m[key] = value
	}
	return m, nil
}

// filterJSON drops elements of a JSON array; those that stay keep their bytes. If
// all stay the answer is returned as it came.
func filterJSON[T any](body []byte, keep func(T) bool) ([]byte, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, fmt.Errorf("the answer is no list: %w", err)
	}
	var kept []json.RawMessage
	for _, item := range items {
		var v T
		if err := json.Unmarshal(item, &v); err != nil {
			return nil, fmt.Errorf("the answer has an entry of another form: %w", err)
		}
		if keep(v) {
			kept = append(kept, item)
		}
	}
	if len(kept) == len(items) {
		return body, nil
	}
	return joinJSON(kept), nil
}

// joinJSON is an array of items, on one line.
func joinJSON(items []json.RawMessage) []byte {
	parts := make([][]byte, len(items))
	for i, item := range items {
		parts[i] = item
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]\n"))
}

// show calls draw once or, to watch, every second until ctx is done. On a terminal each
// picture takes the place of the one before.
func (l *listing) show(env *Env, cmd *cobra.Command, draw func(io.Writer) error) error {
	if !l.watch {
		return draw(env.Stdout)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var b bytes.Buffer
		if err := draw(&b); err != nil {
			return err
		}
		if env.IsTerminal(env.Stdout) {
			fmt.Fprint(env.Stdout, "\x1b[H\x1b[2J")
		} else {
			fmt.Fprintf(env.Stdout, "# %s\n", env.Now().UTC().Format(time.RFC3339))
		}
		if _, err := env.Stdout.Write(b.Bytes()); err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-tick.C:
		}
	}
}
