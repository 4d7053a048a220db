package scenarios_test

import (
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// BenchmarkHeal lets ten hosts die, one after the other, and reports the middle of
// what it took to notice and to repair.
func BenchmarkHeal(b *testing.B) {
	ctx, lab := startLab(b, 5, scenarios.LabConfig{})
	submit(ctx, b, lab.Nodes()[0], sleeper("web", 6))
	settle(ctx, b, lab, "web", 6, 20*time.Second)
	var noticed, healed []time.Duration
	for b.Loop() {
		for range 10 {
			victim := fullest(ctx, b, lab, "web")
			r := healOnce(ctx, b, lab, victim)
			noticed, healed = append(noticed, r.Noticed), append(healed, r.Healed)
			must(b, lab.Restart(ctx, victim))
			must(b, lab.AwaitReady(ctx))
			settle(ctx, b, lab, "web", 6, 20*time.Second)
		}
	}
	b.ReportMetric(millis(median(noticed)), "detect-p50-ms")
	b.ReportMetric(millis(median(healed)), "repair-p50-ms")
}

// BenchmarkForm30 reports how long thirty nodes take to form a cluster, and to run
// three hundred tasks.
func BenchmarkForm30(b *testing.B) {
	var formed, placed []time.Duration
	for b.Loop() {
		ctx, lab := newLab(b, scenarios.LabConfig{Profile: "lan"})
		formed = append(formed, form(ctx, b, lab, 30))
		began := time.Now()
		submit(ctx, b, lab.Nodes()[17], sleeper("many", 300))
		settle(ctx, b, lab, "many", 300, 60*time.Second)
		placed = append(placed, time.Since(began))
		must(b, lab.Close())
	}
	b.ReportMetric(median(formed).Seconds(), "form-s")
	b.ReportMetric(median(placed).Seconds(), "place-300-s")
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
