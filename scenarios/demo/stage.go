package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// stage is a demonstration under way.
type stage struct {
	began  time.Time
	out    io.Writer
	lab    *scenarios.Lab
	ground ground
}

// tell prints a line with the time since the beginning.
func (s *stage) tell(format string, args ...any) {
	fmt.Fprintf(s.out, "[%.1fs] %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// tellBinary says what is shown.
func (s *stage) tellBinary(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("no orch to show (make build makes it): %w", err)
	}
	linked := ""
	if static(path) {
		linked = ", static"
	}
	s.tell("%s (%d MB%s)", path, info.Size()/1e6, linked)
	return nil
}

// static says whether a program is known to need no loader.
func static(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false // not for Linux, so not known
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

func (s *stage) startNodes(ctx context.Context) error {
	if err := s.lab.Start(ctx, nodes); err != nil {
		return err
	}
	all := s.lab.Nodes()
	v, err := all[0].Service().Version(ctx)
	if err != nil {
		return err
	}
	s.tell("five nodes n1…n5 of orch %s on 127.0.0.1:%d–%d, joined with `orch join`", v.Version, all[0].Base, all[len(all)-1].Base+2)
	return nil
}

// submit is a plain POST: no library is needed to use orch.
func (s *stage) submit(ctx context.Context, to *scenarios.Node) error {
	url := "http://" + to.APIAddr() + "/v1/jobs"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(s.ground.job))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	took := time.Since(began)
	var stored api.Job
	if res.StatusCode != http.StatusCreated || json.NewDecoder(bytes.NewReader(body)).Decode(&stored) != nil {
		return fmt.Errorf("submit: POST %s answers %s: %s", url, res.Status, body)
	}
	s.tell("POST %s %s", url, s.ground.job)
	s.tell("  → %d, on %s disks, %s", res.StatusCode, res.Header.Get("Orch-Durable"), millis(took))
	return nil
}

// awaitPlaced returns the tasks once all run and every node agrees.
func (s *stage) awaitPlaced(ctx context.Context, asked *scenarios.Node) ([]api.Task, error) {
	err := scenarios.Eventually(ctx, "six tasks run", func() error { return s.lab.CheckJob(ctx, "web", replicas) })
	if err != nil {
		return nil, err
	}
	tasks, err := asked.Service().Tasks(ctx, api.TaskFilter{Job: "web"})
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, n := range s.lab.Nodes() {
		line := n.Name
		for _, t := range tasks {
			if t.Node == n.ID() {
				line += " " + t.ID
			}
		}
		if line != n.Name {
			parts = append(parts, line)
		}
	}
	s.tell("placed   %s", strings.Join(parts, " · "))
	return tasks, nil
}

// tellSheet says who bid what for a task.
func (s *stage) tellSheet(ctx context.Context, asked *scenarios.Node, task string) error {
	sheet, err := asked.Service().Auction(ctx, task, 0)
	if err != nil {
		return fmt.Errorf("sheet of %s: %w", task, err)
	}
	id, err := api.ParseTaskID(task)
	if err != nil {
		return err
	}
	var winner api.NodeID
	for _, a := range sheet.Awards {
		if a.Slot == id.Index && a.Outcome == "accepted" {
			winner = a.Node
		}
	}
	var bids []string
	for _, b := range sheet.Bids {
		bid := b.NodeName + " "
		if len(b.Scores) > 0 {
			bid += fmt.Sprintf("%.2f", b.Scores[0])
		} else if b.Refusal != nil {
			bid += b.Refusal.Code
		}
		if b.Node == winner {
			bid += "*"
		}
		bids = append(bids, bid)
	}
	s.tell("sheet of %s, by %s in %.1f ms (first copies; * has it): %s", task, sheet.AuctioneerName, sheet.TotalMS, strings.Join(bids, "  "))
	return nil
}

// killAndHeal lets the fullest host die and waits for the work to come back.
func (s *stage) killAndHeal(ctx context.Context, asked *scenarios.Node, tasks []api.Task) error {
	victim, held := mostLoaded(s.lab, tasks, asked)
	also := ""
	if victim == asked {
		also = ", and took the request"
	}
	s.tell("host %s dies: agent (kill -9) and its %s. It held %d tasks%s", victim.Name, s.ground.what, len(held), also)
	r, err := s.lab.Heal(ctx, victim, "web", replicas)
	if err != nil {
		return err
	}
	var moves []string
	for _, t := range r.Tasks {
		if slices.ContainsFunc(held, func(h api.Task) bool { return h.ID == t.ID }) {
			moves = append(moves, t.ID+" → "+t.NodeName)
		}
	}
	err = scenarios.Eventually(ctx, "all survivors and the machine agree", func() error { return s.lab.CheckJob(ctx, "web", replicas) })
	if err != nil {
		return err
	}
	s.tell("healed: %s after %s (noticed after %s)   %d/%d running, none twice",
		strings.Join(moves, ", "), millis(r.Healed), millis(r.Noticed), len(r.Tasks), replicas)
	return nil
}

// tellLogs shows what the nodes said before it went wrong.
func (s *stage) tellLogs() {
	for _, n := range s.lab.Nodes() {
		fmt.Fprintf(s.out, "---- last words of %s\n%s\n", n.Name, n.LastWords())
	}
}

func (s *stage) tellWhatToTry(o options) {
	var apis []string
	for _, n := range s.lab.Alive() {
		apis = append(apis, n.APIAddr())
	}
	s.tell("the cluster stays up. To try:")
	fmt.Fprintf(s.out, `  export ORCH_API=%s
  %[2]s ps                       # what runs where
  %[2]s explain web.0            # who was asked, what each bid, why this one
  %[2]s scale web=12             # more of it
And to stop all of it:
  make demo-stop
`, strings.Join(apis, ","), o.binary)
}

// millis prints a duration as whole milliseconds.
func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
