package api_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
)

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]api.CPUs{"0": 0, "2": 2000, ".5": 500, "0.001": 1, "0.25": 250, "1e3": 1_000_000, "1000000": 1e9, "999999.999": 999_999_999, "-0": 0} {
		if got, err := api.ParseCPUs(text); err != nil || got != want {
			t.Errorf("ParseCPUs(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " 1", "1 ", "x", "-1", "-0.001", "1000000.001", "1e300", "1e999", "NaN", "Inf", "-Inf", "0.0001", "0.0000000001", "1.0005", "999999.9991", "1,5", "1/2", strings.Repeat("9", 1000)} {
		got, err := api.ParseCPUs(text)
		if err == nil {
			t.Errorf("ParseCPUs(%q) = %d, want an error", text, got)
		} else if len(err.Error()) > 200 {
			t.Errorf("the error about %q… has %d bytes", text[:10], len(err.Error()))
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]api.Bytes{"0": 0, "1": 1, "64m": 64 << 20, "64MiB": 64 << 20, "512MB": 512 << 20, "1.5g": 3 << 29, "1 KiB": 1024, "1t": 1 << 40, "1024p": 1 << 60} {
		if got, err := api.ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "x", "-1", "-1m", "64 bananas", "m", "1e30", "1e300", "NaN", "inf", "99999999p", "1m1", strings.Repeat("9", 400)} {
		if got, err := api.ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func TestAmountsInJSON(t *testing.T) {
	type all struct {
		CPUs     api.CPUs
		Memory   api.Bytes
		Duration api.Duration
	}
	for text, want := range map[string]all{
		`{"CPUs":0.25,"Memory":67108864,"Duration":"1m30s"}`: {250, 64 << 20, api.Duration(90 * time.Second)},
		`{"CPUs":"2","Memory":"64MiB","Duration":"0"}`:       {2000, 64 << 20, 0},
		`{"CPUs":1e2,"Memory":0}`:                            {CPUs: 100_000},
	} {
		var got all
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{`{"CPUs":-1}`, `{"CPUs":[]}`, `{"CPUs":true}`, `{"CPUs":"x"}`, `{"Memory":1.5}`, `{"Memory":1e3}`, `{"Memory":"x"}`, `{"Memory":{}}`,
		`{"Memory":99999999999999999999}`, `{"Duration":10}`, `{"Duration":"10"}`, `{"Duration":"soon"}`, `{"Duration":"99999999h"}`, `{"Duration":"1d"}`} {
		var got all
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is %+v, want an error", text, got)
		} else if got != (all{}) {
			t.Errorf("%s was refused and yet set %+v", text, got)
		}
	}
	b, err := json.Marshal(all{250, 64 << 20, api.Duration(90 * time.Second)})
	if want := `{"CPUs":0.25,"Memory":67108864,"Duration":"1m30s"}`; err != nil || string(b) != want {
		t.Errorf("marshalled %s, %v; want %s", b, err, want)
	}
}

func TestAmountsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := api.Resources{CPUs: api.CPUs(rapid.Int64Range(0, 1e9).Draw(t, "cpus")), Memory: api.Bytes(rapid.Int64Range(0, math.MaxInt64).Draw(t, "memory"))}
		var got api.Resources
		b, err := json.Marshal(want)
		if err == nil {
			err = json.Unmarshal(b, &got)
		}
		if err != nil || got != want {
			t.Fatalf("%s became %+v, %v; want %+v", b, got, err, want)
		}
		if again, err := api.ParseCPUs(want.CPUs.String()); err != nil || again != want.CPUs {
			t.Fatalf("ParseCPUs(%q) = %d, %v; want %d", want.CPUs, again, err, want.CPUs)
		}
		d := api.Duration(rapid.Int64().Draw(t, "duration"))
		var back api.Duration
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
			t.Fatalf("%s became %s, %v", d, back, err)
		}
	})
}

func TestResourcesArithmetic(t *testing.T) {
	a, b := api.Resources{CPUs: 500, Memory: 10}, api.Resources{CPUs: 250, Memory: 20}
	for what, pair := range map[string][2]api.Resources{
		"sum":        {a.Add(b), {CPUs: 750, Memory: 30}},
		"difference": {a.Sub(b), {CPUs: 250, Memory: -10}},
		"maximum":    {a.Max(b), {CPUs: 500, Memory: 20}},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %+v, want %+v", what, pair[0], pair[1])
		}
	}
	if a.Fits(b) || b.Fits(a) || !a.Fits(a) || !a.Fits(a.Max(b)) || !(api.Resources{}).Fits(a) {
		t.Error("Fits must hold exactly when it holds for each kind")
	}
	if got, want := (api.Resources{CPUs: 250, Memory: 64 << 20}).String(), "0.25 cpus, 64MiB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzAmounts(f *testing.F) {
	for _, s := range []string{"0.25", "1e6", "64MiB", "1.5 g", "-1", "0x1p4", "1e400", "5p"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := api.ParseCPUs(s); err == nil {
			if c < 0 || c > 1e9 {
				t.Errorf("ParseCPUs(%q) = %d", s, c)
			}
			if v, err := strconv.ParseFloat(s, 64); err != nil || math.Abs(v-c.Cores()) > 1e-9 {
				t.Errorf("ParseCPUs(%q) = %s", s, c)
			}
		}
		if b, err := api.ParseBytes(s); err == nil && (b < 0 || b > 1<<60) {
			t.Errorf("ParseBytes(%q) = %d", s, b)
		}
	})
}
