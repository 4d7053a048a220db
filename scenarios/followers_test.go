package scenarios_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// What the test of many followers does to a node, and what it may cost.
const (
	followers   = 1000
	idlers      = 20                // of these take nothing, and want everything
	loudBytes   = 8 << 20           // what they want: more than all buffers between hold
	followMemo  = 256 << 20         // of the node
	followDelay = 5 * time.Second   // for an answer to somebody else, on a busy machine
	followTime  = 100 * time.Second // for one reader to get it all
)

// TestAThousandFollowers has a node send the logs of its tasks to many readers, some
// of whom take nothing: its memory is bounded, who reads gets everything, and nobody
// else waits.
func TestAThousandFollowers(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	n := lab.Nodes()[0]
	loud, calm := sleeper("loud", 1), sleeper("calm", 1)
	loud.Command = []string{"sh", "-c", fmt.Sprintf("yes 'a line of what a loud task says' | head -c %d; echo; echo the end; exec sleep 100000", loudBytes)}
	calm.Command = []string{"sh", "-c", "echo calm; exec sleep 100000"}
	submit(ctx, t, n, loud)
	submit(ctx, t, n, calm)
	settle(ctx, t, lab, "loud", 1, 20*time.Second)
	settle(ctx, t, lab, "calm", 1, 20*time.Second)

	var readers sync.WaitGroup
	conns := make([]net.Conn, 0, followers)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
		readers.Wait()
	}()
	for i := range followers - 1 {
		task := "calm.0"
		if i < idlers {
			task = "loud.0"
		}
		c := follow(ctx, t, n, task)
		conns = append(conns, c)
		if task == "calm.0" {
			readers.Go(func() { _, _ = io.Copy(io.Discard, c) }) // until it is closed
		}
	}
	last := follow(ctx, t, n, "loud.0")
	conns = append(conns, last)
	got := make(chan error, 1)
	readers.Go(func() { got <- readTo(last, "the end") })

	slowest := time.Duration(0)
	for done := false; !done; {
		select {
		case err := <-got:
			must(t, err)
			done = true
		case <-time.After(20 * time.Millisecond):
		}
		began := time.Now()
		_, err := n.Service().Jobs(ctx)
		must(t, err)
		slowest = max(slowest, time.Since(began))
	}
	used := resident(ctx, t, n.PID())
	t.Logf("%d followers: the node has %d MiB, and the slowest other answer took %s", followers, used>>20, slowest.Round(time.Millisecond))
	if used > followMemo {
		t.Errorf("the node has %d MiB, want at most %d", used>>20, followMemo>>20)
	}
	if slowest > followDelay {
		t.Errorf("another answer took %s, want at most %s", slowest, followDelay)
	}
}

// follow asks for all that a task has written and writes.
func follow(ctx context.Context, t *testing.T, n *scenarios.Node, task string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", n.APIAddr())
	must(t, err)
	_, err = fmt.Fprintf(c, "GET /v1/tasks/%s/logs?follow&tail=all HTTP/1.0\r\nHost: localhost\r\n\r\n", task) // 1.0: the lines as they are, without chunks
	must(t, err)
	return c
}

// readTo reads until a line has the text in it, and wants all that comes before.
func readTo(c net.Conn, text string) error {
	_ = c.SetReadDeadline(time.Now().Add(followTime)) // of a connection that was just made
	read := 0
	for r := bufio.NewScanner(c); r.Scan(); {
		if strings.Contains(r.Text(), text) {
			if read < loudBytes {
				return fmt.Errorf("it got %d bytes, want %d", read, loudBytes)
			}
			return nil
		}
		read += len(r.Text()) + 1
	}
	return fmt.Errorf("the answer ended after %d bytes", read)
}
