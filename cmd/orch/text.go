package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

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

// moment is t for a program, "" if t is not known.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
