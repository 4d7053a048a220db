package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// CPUs is an amount of processor time in thousandths of a core, so that sums are
// exact. In JSON and on the command line it is a number of cores, such as 0.25.
type CPUs int64

// Core is one whole core.
const Core CPUs = 1000

// ParseCPUs reads a number of cores such as "2" or ".5". It refuses negative
// numbers, numbers beyond a million, and finer steps than a thousandth.
func ParseCPUs(s string) (CPUs, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%.80q is not a number of cpus", s)
	}
	if f < 0 || f > 1e6 {
		return 0, fmt.Errorf("%.80s cpus is out of range (0 to 1000000)", s)
	}
	m := math.Round(f * 1000)
	if m/1000 != f { // exact: both are the double nearest to the same decimal
		return 0, fmt.Errorf("%.80s cpus is finer than a thousandth of a core", s)
	}
	return CPUs(m), nil
}

// Cores is c as a number of cores.
func (c CPUs) Cores() float64 { return float64(c) / float64(Core) }

// String is the shortest decimal number of cores.
func (c CPUs) String() string { return strconv.FormatFloat(c.Cores(), 'f', -1, 64) }

// MarshalJSON writes a number of cores.
func (c CPUs) MarshalJSON() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalJSON reads a number, or a string holding one.
func (c *CPUs) UnmarshalJSON(b []byte) error {
	v, err := ParseCPUs(strings.Trim(string(b), `"`))
	if err != nil {
		return err
	}
	*c = v
	return nil
}

// Bytes is an amount of memory.
type Bytes int64

// ParseBytes reads docker's notation: "64m", "512MB" and "1GiB" are all binary,
// as they are for docker; a plain number is bytes.
func ParseBytes(s string) (Bytes, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || n < 0 || n > 1<<60 { // a float beyond int64 converts to any number
		return 0, fmt.Errorf("%.80q is not an amount of memory (try 64MiB)", s)
	}
	return Bytes(n), nil
}

// String is b with a binary unit, such as "64MiB".
func (b Bytes) String() string { return units.BytesSize(float64(b)) }

// UnmarshalJSON reads an integer number of bytes or a string as [ParseBytes] does.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var v Bytes
	var err error
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err = json.Unmarshal(data, &s); err == nil {
			v, err = ParseBytes(s)
		}
	} else {
		var n int64
		if n, err = strconv.ParseInt(string(data), 10, 64); err != nil {
			err = fmt.Errorf("%.80s is not a whole number of bytes (or write \"64MiB\")", data)
		}
		v = Bytes(n)
	}
	if err != nil {
		return err
	}
	*b = v
	return nil
}

// Duration is a time.Duration that is a string such as "10s" in JSON.
type Duration time.Duration

// String is d in Go's notation.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText makes "1m30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "1m30s". A bare number is refused: its unit would be a guess.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%.80q is not a duration (write \"10s\" or \"1m30s\")", b)
	}
	*d = Duration(v)
	return nil
}

// Resources is an amount of what a node has and a task takes. The zero value is
// nothing; in Job.Limits zero means no limit.
type Resources struct {
	CPUs   CPUs  `json:"cpus"`
	Memory Bytes `json:"memory"`
}

// Add is r and o together.
func (r Resources) Add(o Resources) Resources {
	return Resources{CPUs: r.CPUs + o.CPUs, Memory: r.Memory + o.Memory}
}

// Sub is what is left of r without o; it may be negative.
func (r Resources) Sub(o Resources) Resources {
	return Resources{CPUs: r.CPUs - o.CPUs, Memory: r.Memory - o.Memory}
}

// Max is the greater of each kind.
func (r Resources) Max(o Resources) Resources {
	return Resources{CPUs: max(r.CPUs, o.CPUs), Memory: max(r.Memory, o.Memory)}
}

// Fits says whether r fits within o in every kind.
func (r Resources) Fits(o Resources) bool { return r.CPUs <= o.CPUs && r.Memory <= o.Memory }

// String is for people: "0.25 cpus, 64MiB".
func (r Resources) String() string { return r.CPUs.String() + " cpus, " + r.Memory.String() }

// ParseLabel reads "key=value"; "key" alone has an empty value.
func ParseLabel(s string) (key, value string, err error) {
	key, value, _ = strings.Cut(s, "=")
	if key == "" {
		return "", "", errors.New("a label needs a key (key=value)")
	}
	if msg := checkLabel(key, value); msg != "" {
		return "", "", errors.New(msg)
	}
	return key, value, nil
}
