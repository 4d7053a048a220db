package gossip_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/gossip"
)

var detectorStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

const detectorHold = 2 * time.Second

// detectorRig drives a Detector by hand.
type detectorRig struct {
	t    *testing.T
	d    *gossip.Detector
	now  time.Time
	acts []gossip.DetectorAction
}

func newDetectorRig(t *testing.T, alive ...string) *detectorRig {
	r := &detectorRig{t: t, d: gossip.NewDetector(func(int) int { return 0 }), now: detectorStart}
	r.members(alive...)
	for _, id := range alive {
		r.d.Connected(id)
	}
	return r
}

func (r *detectorRig) members(alive ...string) {
	boots := map[string]string{}
	for _, id := range alive {
		boots[id] = "1"
	}
	r.acts = r.d.Members(boots, detectorHold)
}

func (r *detectorRig) wait(d time.Duration) {
	r.now = r.now.Add(d)
	r.acts = r.d.Tick(r.now)
}

func (r *detectorRig) lose(id string) { r.acts = r.d.Disconnected(id) }

// answer gives the result of every action that is out.
func (r *detectorRig) answer(result gossip.ProbeResult) {
	acts := r.acts
	r.acts = nil
	for _, a := range acts {
		if a.Helper == "" {
			r.acts = append(r.acts, r.d.Probed(a.ID, a.Round, result, r.now)...)
		} else {
			r.d.Confirmed(a.ID, a.Helper, a.Round, result, r.now)
		}
	}
}

func (r *detectorRig) want(id string, want bool, when string) {
	r.t.Helper()
	if got, why, _ := r.d.Dead(id); got != want {
		r.t.Errorf("%s: dead(%s) is %v (%s), want %v", when, id, got, why, want)
	}
}

func (r *detectorRig) wantHelpers(want ...string) {
	r.t.Helper()
	var got []string
	for _, a := range r.acts {
		got = append(got, a.Helper)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("asked %q, want %q", got, want)
	}
}

func TestDetectorConfirmedRefusalIsADeath(t *testing.T) {
	r := newDetectorRig(t, "a", "b", "c", "d", "e")
	r.lose("a")
	r.wantHelpers("")
	r.answer(gossip.ProbeRefused)
	r.want("a", false, "refused, not confirmed")
	r.wantHelpers("b", "c", "d")
	r.d.Confirmed("a", "b", r.acts[0].Round, gossip.ProbeUnclear, r.now)
	r.d.Confirmed("a", "c", r.acts[0].Round, gossip.ProbeRefused, r.now)
	r.want("a", true, "refused and confirmed")
	r.d.Confirmed("a", "d", r.acts[0].Round, gossip.ProbeOpen, r.now)
	r.want("a", true, "a late answer of another helper")
}

func TestDetectorAlone(t *testing.T) {
	r := newDetectorRig(t, "a")
	r.lose("a")
	r.answer(gossip.ProbeRefused)
	r.want("a", true, "no other peer is alive")
}

// TestDetectorSeveralAtOnce lets several peers go at the same instant, and gives each
// dial the answer that is said of it, over and over.
func TestDetectorSeveralAtOnce(t *testing.T) {
	const refused, open, unclear = gossip.ProbeRefused, gossip.ProbeOpen, gossip.ProbeUnclear
	for _, tt := range []struct {
		what  string
		ports map[string]gossip.ProbeResult // of those that go; the others stay, and confirm nothing
		dead  string
	}{
		{"all four of five die", map[string]gossip.ProbeResult{"a": refused, "b": refused, "c": refused, "d": refused}, "a b c d"},
		{"three die, and one cannot be told", map[string]gossip.ProbeResult{"a": refused, "b": refused, "c": refused, "d": unclear}, ""},
		{"three die, and one is open", map[string]gossip.ProbeResult{"a": refused, "b": refused, "c": refused, "d": open}, ""},
		{"three die, and the fourth does not confirm", map[string]gossip.ProbeResult{"a": refused, "b": refused, "c": refused}, ""},
		{"all are cut off", map[string]gossip.ProbeResult{"a": unclear, "b": unclear, "c": unclear, "d": unclear}, ""},
	} {
		r := newDetectorRig(t, "a", "b", "c", "d")
		var acts []gossip.DetectorAction
		for _, id := range slices.Sorted(maps.Keys(tt.ports)) {
			acts = append(acts, r.d.Disconnected(id)...)
		}
		for range 60 {
			var next []gossip.DetectorAction
			for _, a := range acts {
				if a.Helper == "" {
					next = append(next, r.d.Probed(a.ID, a.Round, tt.ports[a.ID], r.now)...)
				} else {
					r.d.Confirmed(a.ID, a.Helper, a.Round, unclear, r.now)
				}
			}
			r.wait(10 * time.Millisecond)
			acts = append(next, r.acts...)
		}
		for _, id := range []string{"a", "b", "c", "d"} {
			r.want(id, slices.Contains(strings.Fields(tt.dead), id), tt.what)
		}
	}
}

func TestDetectorConnectedAgainIsNotGone(t *testing.T) {
	r := newDetectorRig(t, "a", "b")
	r.lose("b")
	r.acts = r.acts[:1]
	r.d.Probed("b", r.acts[0].Round, gossip.ProbeRefused, r.now)
	r.d.Connected("b")
	r.lose("a")
	r.answer(gossip.ProbeRefused)
	r.want("a", false, "b refused once, and is back")
}

func TestDetectorAloneOnceSerfSaysSo(t *testing.T) {
	r := newDetectorRig(t, "a", "b")
	r.lose("a")
	first := r.acts
	r.lose("b")
	r.acts = first
	for range 10 {
		r.answer(gossip.ProbeRefused) // of b nothing is heard
		r.wait(time.Second)
	}
	r.want("a", false, "nobody to confirm")
	r.members("a") // Serf says that b is gone
	r.answer(gossip.ProbeRefused)
	r.want("a", true, "alone now, and refused again")
}

func TestDetectorTimeoutsAreNoRefusals(t *testing.T) {
	for _, result := range []gossip.ProbeResult{gossip.ProbeUnclear, gossip.ProbeOpen} {
		r := newDetectorRig(t, "a")
		r.lose("a")
		probes := 0
		for range 100 {
			probes += len(r.acts)
			r.answer(result)
			r.wait(100 * time.Millisecond)
		}
		r.want("a", false, string(result))
		if probes < 3 || probes > 20 {
			t.Errorf("%s: %d probes, want some and then no more", result, probes)
		}
	}
}

func TestDetectorLapsesAndIsNotSetAgain(t *testing.T) {
	r := newDetectorRig(t, "a", "b")
	die := func() {
		r.lose("a")
		for range 20 {
			r.answer(gossip.ProbeRefused)
			r.answer(gossip.ProbeRefused)
			r.wait(10 * time.Millisecond)
		}
	}
	die()
	r.want("a", true, "dead")
	version := r.d.Version()
	r.wait(detectorHold)
	r.want("a", false, "Serf still says alive")
	if r.d.Version() == version {
		t.Error("the lapse did not change the version")
	}
	die()
	r.want("a", false, "no connection since")
	r.d.Connected("a")
	die()
	r.want("a", true, "connected once more, and died")
	r.d.Connected("a")
	r.want("a", false, "connected again")
}

func TestDetectorSerfEndsTheVerdict(t *testing.T) {
	r := newDetectorRig(t, "a")
	r.lose("a")
	r.answer(gossip.ProbeRefused)
	r.d.Members(map[string]string{"a": "2"}, detectorHold)
	r.want("a", false, "a new boot is alive")
	r = newDetectorRig(t, "a")
	r.lose("a")
	r.answer(gossip.ProbeRefused)
	r.members()
	r.want("a", false, "Serf says it now")
}

func TestDetectorIgnoresOldAnswers(t *testing.T) {
	r := newDetectorRig(t, "a", "b")
	r.lose("a")
	old := r.acts[0]
	r.d.Connected("a")
	r.lose("a")
	if acts := r.d.Probed("a", old.Round, gossip.ProbeRefused, r.now); len(acts) != 0 {
		t.Errorf("an answer from before the last connection led to %v", acts)
	}
}

// detectorModel is what must have happened before a verdict is right.
type detectorModel struct {
	alive     map[string]string
	connected map[string]bool
	refused   map[refusal]bool // a dial from here was refused in that round
	refuses   map[string]bool  // it was so since the last connection
	armed     map[string]bool  // a connection broke, and none came since
	deadAt    map[string]time.Time
}

type refusal struct {
	id    string
	round uint64
}

func TestDetectorNeverWithoutEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := gossip.NewDetector(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		m := detectorModel{alive: map[string]string{}, connected: map[string]bool{}, refused: map[refusal]bool{}, refuses: map[string]bool{},
			armed: map[string]bool{}, deadAt: map[string]time.Time{}}
		now := detectorStart
		var out []gossip.DetectorAction
		id := func() string { return fmt.Sprintf("n%d", rapid.IntRange(0, 3).Draw(t, "id")) }
		dead := func(id string) bool { is, _, _ := d.Dead(id); return is }
		// allowed says whether id may become dead in this step.
		check := func(step string, allowed func(id string) bool) {
			for i := range 4 {
				id := fmt.Sprintf("n%d", i)
				if !dead(id) {
					delete(m.deadAt, id)
					continue
				}
				if _, was := m.deadAt[id]; !was {
					if !m.armed[id] || m.alive[id] == "" || m.connected[id] || !allowed(id) {
						t.Fatalf("%s: %s is dead without evidence", step, id)
					}
					m.deadAt[id], m.armed[id] = now, false
				}
				if now.Sub(m.deadAt[id]) >= detectorHold && step == "tick" {
					t.Fatalf("the verdict about %s did not lapse", id)
				}
			}
		}
		never := func(string) bool { return false }
		others := func(id string) int {
			n := 0
			for o := range m.alive {
				if o != id && !dead(o) && !m.refuses[o] {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"members": func(t *rapid.T) {
				m.alive = map[string]string{}
				for i := range 4 {
					if rapid.Bool().Draw(t, "alive") {
						m.alive[fmt.Sprintf("n%d", i)] = rapid.SampledFrom([]string{"1", "1", "1", "2"}).Draw(t, "boot")
					}
				}
				out = append(out, d.Members(m.alive, detectorHold)...)
				check("members", never)
			},
			"connected": func(t *rapid.T) {
				id := id()
				d.Connected(id)
				m.connected[id], m.armed[id], m.refuses[id] = true, false, false
				check("connected", never)
			},
			"disconnected": func(t *rapid.T) {
				id := id()
				m.armed[id] = m.armed[id] || m.connected[id]
				m.connected[id] = false
				out = append(out, d.Disconnected(id)...)
				check("disconnected", never)
			},
			"tick": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms")) * time.Millisecond)
				out = append(out, d.Tick(now)...)
				check("tick", never)
			},
			"answer": func(t *rapid.T) {
				if len(out) == 0 {
					return
				}
				i := rapid.IntRange(0, len(out)-1).Draw(t, "action")
				a := out[i]
				if rapid.Bool().Draw(t, "once") {
					out = slices.Delete(out, i, i+1)
				}
				result := rapid.SampledFrom([]gossip.ProbeResult{gossip.ProbeRefused, gossip.ProbeRefused, gossip.ProbeOpen, gossip.ProbeUnclear}).Draw(t, "result")
				if a.Helper == "" {
					if result == gossip.ProbeRefused {
						m.refused[refusal{a.ID, a.Round}], m.refuses[a.ID] = true, true
					}
					lone := others(a.ID) == 0
					out = append(out, d.Probed(a.ID, a.Round, result, now)...)
					check("probed", func(id string) bool { return id == a.ID && result == gossip.ProbeRefused && lone })
					return
				}
				helper := m.alive[a.Helper] != "" && !dead(a.Helper)
				d.Confirmed(a.ID, a.Helper, a.Round, result, now)
				check("confirmed", func(id string) bool {
					return id == a.ID && result == gossip.ProbeRefused && helper && m.refused[refusal{id, a.Round}]
				})
			},
		})
	})
}
