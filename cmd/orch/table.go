package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxCell is how many characters of free text a table on a terminal shows.
const maxCell = 60

// A table is a header and rows, and how to print them.
type table struct {
	header []string
	rows   [][]string
	cut    int          // the longest that a cell may be; 0 is no limit
	paint  map[int]bool // columns with states, to be coloured
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
	var all [][]string
	var width []int
	rows := t.rows
	if t.header != nil {
		rows = slices.Concat([][]string{t.header}, rows)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = shorten(clean(c), t.cut)
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cells[i]))
		}
		all = append(all, cells)
	}
	lines := make([]string, 0, len(all))
	for n, cells := range all {
		var b strings.Builder
		for i, c := range cells {
			pad := width[i] + 2 - utf8.RuneCountInString(c)
			if t.paint[i] && (n > 0 || t.header == nil) {
				c = paintState(c)
			}
			b.WriteString(c + strings.Repeat(" ", pad))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}
