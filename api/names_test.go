package api_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, want := range map[string][2]bool{ // job, node
		"web": {true, true}, "w": {true, true}, "0": {true, true}, "a-b_c": {true, true}, long: {true, true},
		long + "a": {}, "": {}, "-a": {}, "a-": {}, "_a": {}, "a_": {}, "a b": {}, "a/b": {}, "..": {}, ".": {}, "ü": {}, "a\n": {}, "\x00": {}, "a@2": {}, "a;b": {}, "$a": {},
		"web.0": {false, true}, "Web": {false, true}, "vps1.example.com": {false, true}, "a.": {}, ".a": {},
	} {
		if got := api.ValidJobName(name); got != want[0] {
			t.Errorf("ValidJobName(%q) = %v", name, got)
		}
		if got := api.ValidNodeName(name); got != want[1] {
			t.Errorf("ValidNodeName(%q) = %v", name, got)
		}
	}
}

func TestParseTaskID(t *testing.T) {
	for text, want := range map[string]api.TaskID{
		"web.0":                    {Job: "web"},
		"web.3":                    {Job: "web", Index: 3},
		"web.3@2":                  {Job: "web", Index: 3, Epoch: 2},
		"a-b_c.120":                {Job: "a-b_c", Index: 120},
		"0.0@18446744073709551615": {Job: "0", Epoch: 1<<64 - 1},
	} {
		got, err := api.ParseTaskID(text)
		if err != nil || got != want {
			t.Errorf("ParseTaskID(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("ParseTaskID(%q).String() = %q", text, got)
		}
		if slot, _, _ := strings.Cut(text, "@"); got.Slot() != slot {
			t.Errorf("ParseTaskID(%q).Slot() = %q, want %q", text, got.Slot(), slot)
		}
	}
	for _, text := range []string{"", "web", "web.", ".0", "web.-1", "web.+1", "web.01", "web.1.2", "web.1@", "web.1@0", "web.1@-1", "web.1@+1",
		"web.1@02", "web.1@1@1", "Web.1", "web .1", "web.1 ", "../x.1", "web.99999999999999999999", "web.1@18446744073709551616", "web.1e1", "@1", "web@1.0"} {
		if got, err := api.ParseTaskID(text); api.CodeOf(err) != api.Invalid {
			t.Errorf("ParseTaskID(%q) = %+v, %v; want %s", text, got, err, api.Invalid)
		}
	}
	if _, err := api.ParseTaskID(strings.Repeat("x", 1<<20)); len(err.Error()) > 500 {
		t.Errorf("the error about a long id has %d bytes", len(err.Error()))
	}
}

func TestTaskIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := api.TaskID{
			Job:   rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?`).Draw(t, "job"),
			Index: rapid.IntRange(0, 1<<62).Draw(t, "index"),
			Epoch: rapid.Uint64().Draw(t, "epoch"),
		}
		if got, err := api.ParseTaskID(want.String()); err != nil || got != want {
			t.Fatalf("ParseTaskID(%q) = %+v, %v; want %+v", want, got, err, want)
		}
	})
}

func FuzzParseTaskID(f *testing.F) {
	for _, s := range []string{"web.3", "web.3@2", "web.03@02", "@", ".", "web.1@18446744073709551615"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := api.ParseTaskID(s)
		if err != nil {
			return
		}
		if id.String() != s { // else one task would have two names
			t.Errorf("ParseTaskID(%q) is called %q", s, id)
		}
	})
}

func TestParseLabel(t *testing.T) {
	for text, want := range map[string][2]string{"a=b": {"a", "b"}, "a": {"a", ""}, "a=": {"a", ""}, "a=b=c": {"a", "b=c"}, "example.com/x-y_z=ü w": {"example.com/x-y_z", "ü w"}} {
		key, value, err := api.ParseLabel(text)
		if err != nil || key != want[0] || value != want[1] {
			t.Errorf("ParseLabel(%q) = %q, %q, %v; want %q", text, key, value, err, want)
		}
	}
	for _, text := range []string{"", "=b", " a=b", "a b=c", "-a=b", "a\n=b", "a=b\nc", "a=\x1b[31m", strings.Repeat("a", 64) + "=b", "a=" + strings.Repeat("b", 257)} {
		if key, value, err := api.ParseLabel(text); err == nil {
			t.Errorf("ParseLabel(%q) = %q, %q; want an error", text, key, value)
		}
	}
}

func TestShortNodeID(t *testing.T) {
	for id, want := range map[api.NodeID]string{"12D3KooW8Qm3vT4kabc": "8Qm3vT4k", "12D3KooW8Qm3vT4k": "8Qm3vT4k", "8Qm3vT4k": "8Qm3vT4k", "n1": "n1", "": ""} {
		if got := id.Short(); got != want {
			t.Errorf("%q.Short() = %q, want %q", id, got, want)
		}
	}
}

func TestTaskStates(t *testing.T) {
	for state, want := range map[api.TaskState]string{
		api.Pending: "", api.Accepted: "live", api.Pulling: "live", api.Starting: "live", api.Running: "live", api.Stopping: "",
		api.Stopped: "final", api.Failed: "final", api.Complete: "final", api.Lost: "", "what": "",
	} {
		if live, final := state.Live(), state.Final(); live != (want == "live") || final != (want == "final") {
			t.Errorf("%s: live %v, final %v; want %q", state, live, final, want)
		}
	}
}
