package soak

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/scenarios"
)

// vitals are what an agent uses.
type vitals struct {
	memory     int64 // bytes in memory
	files      int   // open
	goroutines int
}

func (v vitals) String() string {
	return fmt.Sprintf("%.1f MB, %d files, %d goroutines", float64(v.memory)/1e6, v.files, v.goroutines)
}

// What an agent may use more at the end than the most that any used at the beginning: a
// heap that has grown is given back late, and connections come and go.
const (
	moreMemory     = 40 << 20
	moreFiles      = 20
	moreGoroutines = 60
)

// grown says what v uses more than it should, having begun with base, or "".
func (v vitals) grown(base vitals) string {
	if v.memory > base.memory+moreMemory || v.files > base.files+moreFiles || v.goroutines > base.goroutines+moreGoroutines {
		return fmt.Sprintf("%s, and at the beginning at most %s", v, base)
	}
	return ""
}

// max is the most of each.
func (v vitals) max(o vitals) vitals {
	return vitals{max(v.memory, o.memory), max(v.files, o.files), max(v.goroutines, o.goroutines)}
}

// vitalsOf reads those of all nodes, by the name of the node.
func vitalsOf(ctx context.Context, lab *scenarios.Lab) (map[string]vitals, error) {
	nodes := lab.Alive()
	each := make([]vitals, len(nodes))
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		g.Go(func() (err error) {
			each[i], err = readVitals(ctx, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := map[string]vitals{}
	for i, n := range nodes {
		all[n.Name] = each[i]
	}
	return all, nil
}

func readVitals(ctx context.Context, n *scenarios.Node) (v vitals, err error) {
	metrics, err := metricsOf(ctx, n)
	if err != nil {
		return v, err
	}
	v.goroutines, v.memory = int(metrics["go_goroutines"]), int64(metrics["process_resident_memory_bytes"])
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(n.PID()), "fd"))
	if err != nil {
		return v, fmt.Errorf("files of %s: %w", n.Name, err)
	}
	v.files = len(files)
	return v, nil
}

// metricsOf are a node's metrics by name, those with labels added up.
func metricsOf(ctx context.Context, n *scenarios.Node) (map[string]float64, error) {
	text, err := n.Raw(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", n.Name, err)
	}
	sums := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line[:at], "{")
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			sums[name] += value
		}
	}
	return sums, nil
}
