package fake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

func spec(job string) runtime.Spec {
	return runtime.Spec{
		Labels: runtime.Labels{Cluster: "c", Node: "n1", Job: job, Life: 17, Epoch: 1},
		Image:  "nginx", Pull: "missing",
	}
}

// driver is one whose containers all behave like b.
func driver(b fake.Behaviour) *fake.Driver {
	d := fake.New("n1", "c")
	d.Script = func(runtime.Spec) fake.Behaviour { return b }
	return d
}

func only(t *testing.T, d *fake.Driver) runtime.Container {
	t.Helper()
	list, err := d.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("List = %+v (%v), want one", list, err)
	}
	return list[0]
}

// story is the history as text, with times since t0.
func story(d *fake.Driver, t0 time.Time) string {
	var s []string
	for _, e := range d.History() {
		s = append(s, fmt.Sprintf("%s %s", e.At.Sub(t0), e.Event))
	}
	return strings.Join(s, ", ")
}

func TestRunsForATimeAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t0 := time.Now()
		d := driver(fake.Behaviour{StartTakes: 2 * time.Second, Ends: true, RunFor: time.Minute, ExitCode: 3})
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		go func() { _ = d.Watch(ctx, func() { calls++ }) }()
		synctest.Wait()
		go func() {
			if _, err := d.Start(ctx, spec("web"), nil); err != nil {
				t.Errorf("Start: %v", err)
			}
		}()
		for _, step := range []struct {
			at   time.Duration
			want runtime.State
		}{{time.Second, runtime.Created}, {3 * time.Second, runtime.Running}, {61 * time.Second, runtime.Running}, {63 * time.Second, runtime.Exited}} {
			time.Sleep(step.at - time.Since(t0))
			if c := only(t, d); c.State != step.want {
				t.Errorf("after %s it is %q, want %q", step.at, c.State, step.want)
			}
		}
		if c := only(t, d); c.ExitCode != 3 || c.FinishedAt.Sub(t0) != 62*time.Second {
			t.Errorf("it ended as %+v", c)
		}
		synctest.Wait()
		if calls != 4 { // Watch began, created, ran, ended
			t.Errorf("changed was called %d times, want 4", calls)
		}
		if got, want := story(d, t0), "0s starting, 2s ran, 1m2s ended"; got != want {
			t.Errorf("history %q, want %q", got, want)
		}
		cancel()
	})
}

func TestStartFaults(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		does fake.Behaviour
		want error
		took time.Duration
	}{
		{"error", fake.Behaviour{StartTakes: time.Second, StartErr: broken}, broken, time.Second},
		{"hang", fake.Behaviour{HangStart: true}, context.DeadlineExceeded, time.Minute},
		{"too slow", fake.Behaviour{StartTakes: time.Hour}, context.DeadlineExceeded, time.Minute},
		{"pull error", fake.Behaviour{PullTakes: 10 * time.Second, PullErr: broken}, broken, 10 * time.Second},
		{"pull too slow", fake.Behaviour{PullTakes: time.Hour}, context.DeadlineExceeded, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, t0 := driver(c.does), time.Now()
				d.SetImage("nginx", false)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := d.Start(ctx, spec("web"), nil); !errors.Is(err, c.want) || time.Since(t0) != c.took {
					t.Errorf("Start: %v after %s, want %v after %s", err, time.Since(t0), c.want, c.took)
				}
				if list, err := d.List(t.Context()); len(list) != 0 || err != nil {
					t.Errorf("List = %+v (%v), want nothing left behind", list, err)
				}
				if h := d.History(); h[len(h)-1].Event != fake.Gone {
					t.Errorf("history ends with %q, want gone", h[len(h)-1].Event)
				}
			})
		})
	}
}

func TestDetachedStartGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := driver(fake.Behaviour{StartTakes: 10 * time.Second, Detached: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Start(ctx, spec("web"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start: %v, want the context's error", err)
		}
		if c := only(t, d); c.State != runtime.Created {
			t.Errorf("it is %q, want created", c.State)
		}
		time.Sleep(10 * time.Second)
		if c := only(t, d); c.State != runtime.Running {
			t.Errorf("it is %q, want running", c.State)
		}
	})
}

func TestPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, t0 := driver(fake.Behaviour{PullTakes: time.Minute}), time.Now()
		d.SetImage("nginx", false)
		never := spec("never")
		never.Pull = "never"
		if _, err := d.Start(t.Context(), never, nil); err == nil || time.Since(t0) != 0 {
			t.Errorf("pull never: %v after %s, want an error at once", err, time.Since(t0))
		}
		var told []string
		_, err := d.Start(t.Context(), spec("web"), func(s api.TaskState, detail string) { told = append(told, string(s)+" "+detail) })
		if err != nil || time.Since(t0) != time.Minute {
			t.Errorf("pull missing: %v after %s, want a minute", err, time.Since(t0))
		}
		if len(told) != 10 || told[0] != "pulling nginx 0%" || told[9] != "pulling nginx 90%" {
			t.Errorf("progress %q, want ten steps", told)
		}
		if !d.HasImage("nginx") {
			t.Error("the image is not there after it was pulled")
		}
		if _, err := d.Start(t.Context(), spec("second"), nil); err != nil || time.Since(t0) != time.Minute {
			t.Errorf("present: %v after %s, want no pull", err, time.Since(t0))
		}
		always := spec("always")
		always.Pull = "always"
		if _, err := d.Start(t.Context(), always, nil); err != nil || time.Since(t0) != 2*time.Minute {
			t.Errorf("pull always: %v after %s, want another minute", err, time.Since(t0))
		}
	})
}

func TestStops(t *testing.T) {
	for _, c := range []struct {
		name string
		does fake.Behaviour
		want error
		took time.Duration
		code int
	}{
		{"at once", fake.Behaviour{}, nil, 0, 143},
		{"in time", fake.Behaviour{StopTakes: 5 * time.Second}, nil, 5 * time.Second, 143},
		{"too slow", fake.Behaviour{StopTakes: time.Hour}, nil, 10 * time.Second, 137},
		{"hang", fake.Behaviour{HangStop: true}, context.DeadlineExceeded, time.Minute, 0},
		{"ends by itself meanwhile", fake.Behaviour{HangStop: true, Ends: true, RunFor: 4 * time.Second, ExitCode: 1}, nil, 4 * time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, t0 := driver(c.does), time.Now()
				got, err := d.Start(t.Context(), spec("web"), nil)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := d.Stop(ctx, got.ID, 10*time.Second); !errors.Is(err, c.want) || time.Since(t0) != c.took {
					t.Errorf("Stop: %v after %s, want %v after %s", err, time.Since(t0), c.want, c.took)
				}
				if got := only(t, d); got.ExitCode != c.code || (got.State == runtime.Exited) != (c.want == nil) {
					t.Errorf("it is %+v, want code %d", got, c.code)
				}
			})
		})
	}
}

func TestStopWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := driver(fake.Behaviour{HangStart: true})
		go func() {
			if c, err := d.Start(t.Context(), spec("web"), nil); err != nil || c.State != runtime.Exited {
				t.Errorf("Start: %+v, %v, want it exited", c, err)
			}
		}()
		synctest.Wait()
		if err := d.Stop(t.Context(), only(t, d).ID, time.Second); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

func TestVanishAndFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fake.New("n1", "c")
		c, err := d.Start(t.Context(), spec("web"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.Vanish("nobody") || d.Kill("nobody", 1) || !d.Vanish(c.ID) {
			t.Error("Vanish and Kill must say whether there was one")
		}
		if list, err := d.List(t.Context()); len(list) != 0 || err != nil {
			t.Errorf("List = %+v (%v), want nothing", list, err)
		}
		again, err := d.Start(t.Context(), spec("web"), nil)
		if err != nil || again.ID == c.ID {
			t.Errorf("Start again: %+v, %v, want another container", again, err)
		}
		want := []fake.Event{fake.Starting, fake.Ran, fake.Ended, fake.Gone, fake.Starting, fake.Ran}
		var got []fake.Event
		for _, e := range d.History() {
			got = append(got, e.Event)
		}
		if !slices.Equal(got, want) {
			t.Errorf("history %q, want %q", got, want)
		}
		down := errors.New("down")
		if d.SetFault(down); d.Check(t.Context()) != down {
			t.Error("Check does not tell of the fault")
		}
		if d.SetFault(nil); d.Check(t.Context()) != nil {
			t.Error("Check tells of a fault that is over")
		}
	})
}
