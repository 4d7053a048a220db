package rest

import (
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// defaultTail is how many log lines one gets who does not say.
const defaultTail = 100

// checkQuery refuses a query that is malformed, names a parameter twice, or has
// one that is not known: to ignore it would answer another question.
func checkQuery(raw string, known []string) error {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return api.Errorf(api.BadQuery, "the query cannot be read: %.200s", err)
	}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, key) {
			e := api.Errorf(api.BadQuery, "the parameter %.80q is not known here%s", key, didYouMean(key, known))
			if len(known) > 0 {
				e = e.WithHint("known are %s", strings.Join(known, ", "))
			}
			return e
		}
		if len(q[key]) > 1 && key != "label" {
			return api.Errorf(api.BadQuery, "the parameter %s is given %d times", key, len(q[key]))
		}
	}
	return nil
}

// taskFilter reads what tasks are wanted.
func taskFilter(r *http.Request) (api.TaskFilter, error) {
	q := r.URL.Query()
	all, err := flag(q, "all")
	if err != nil {
		return api.TaskFilter{}, err
	}
	f := api.TaskFilter{Job: q.Get("job"), Node: q.Get("node"), All: all}
	f.State, err = oneOf(q, "state", api.Pending, api.Accepted, api.Pulling, api.Starting, api.Running,
		api.Stopping, api.Stopped, api.Failed, api.Complete, api.Lost)
	return f, err
}

// logOptions reads what log lines are wanted, at now.
func logOptions(q url.Values, now time.Time) (api.LogOptions, error) {
	o := api.LogOptions{Tail: defaultTail}
	var err error
	if o.Follow, err = flag(q, "follow"); err != nil {
		return o, err
	}
	switch tail := q.Get("tail"); tail {
	case "":
	case "all":
		o.Tail = -1
	default:
		if o.Tail, err = strconv.Atoi(tail); err != nil || o.Tail < 0 {
			return o, api.Errorf(api.BadQuery, "tail=%.40q is neither a number of lines nor all", tail)
		}
	}
	if o.Since, err = moment(q, "since", now); err != nil {
		return o, err
	}
	if o.Until, err = moment(q, "until", now); err != nil {
		return o, err
	}
	for stream := range strings.SplitSeq(q.Get("stream"), ",") {
		switch stream {
		case "":
		case "stdout", "stderr":
			o.Streams = append(o.Streams, stream)
		default:
			return o, api.Errorf(api.BadQuery, "stream=%.40q is none of stdout, stderr", stream)
		}
	}
	return o, nil
}

// flag reads a yes or no; the bare name of the parameter is a yes.
func flag(q url.Values, key string) (bool, error) {
	if !q.Has(key) {
		return false, nil
	}
	switch value := q.Get(key); value {
	case "", "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	default:
		return false, api.Errorf(api.BadQuery, "%s=%.40q is neither true nor false", key, value)
	}
}

// moment reads a time: how long before now, seconds since 1970, or RFC 3339. It is
// zero if there is none.
func moment(q url.Values, key string, now time.Time) (time.Time, error) {
	s := q.Get(key)
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 && s != "0" {
		return now.Add(-d), nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < 1e11 {
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(frac*1e9)).UTC(), nil
	}
	// A + that was not escaped arrives as a space.
	if t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "+", 1)); err == nil {
		return t, nil
	}
	return time.Time{}, api.Errorf(api.BadQuery, "%s=%.40q is not a time", key, s).
		WithHint("write 10m (ago), 2026-01-02T15:04:05Z or 1767366245 (seconds since 1970)")
}

// didYouMean is a question to append to a message, or "" when no name is near.
func didYouMean(word string, names []string) string {
	best, at := "", 3
	for _, name := range names {
		d := distance(strings.ToLower(word), name)
		if len(word) > 2 && strings.HasPrefix(name, word) { // cut short: mem
			d = 1
		}
		if d < at && d < len(name) {
			best, at = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's: the insertions, deletions and replacements of bytes
// that turn a into b. Words of very different lengths are simply far.
func distance(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
