package peer_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// A node that has lost its mind asks without end, says nonsense, or answers without
// end: the others lose no more than what it was to say.
func TestHostileNode(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		c.submit(c.nodes[0], service("web", 3))
		c.settle(30*time.Second, c.nodes...)
		sane, asked, evil := c.nodes[0], c.nodes[1], c.nodes[2]
		target, err := libp2ppeer.Decode(string(asked.id))
		if err != nil {
			t.Fatal(err)
		}
		open := func() network.Stream {
			s, err := evil.agent.host.NewStream(t.Context(), target, "/orch/data/1")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Reset() })
			return s
		}
		answers := func(what string) {
			t.Helper()
			if _, err := sane.agent.NodeContainers(t.Context(), asked.name); err != nil {
				t.Errorf("%s: another node is answered %v", what, err)
			}
		}

		said := make(chan string, 100)
		for range 100 { // streams that never say what they want
			s := open()
			if _, err := s.Write([]byte{0x80}); err != nil {
				t.Fatal(err)
			}
			go func() {
				b, _ := msgio.NewVarintReader(s).ReadMsg()
				said <- string(b)
			}()
		}
		var first string
		for first == "" {
			first = <-said
		}
		if !strings.Contains(first, `"too_many"`) || !strings.Contains(first, "32 questions") {
			t.Errorf("one too many is told %q", first)
		}
		answers("while one holds all of its places")
		<-time.After(3 * time.Second)
		answers("after it")

		for _, junk := range []string{`{`, `[]`, `{"op":"logs","logs":{"follow":1}}`, `{"op":"nonsense"}`, `{"op":"restore"}`,
			`{"op":[` + strings.Repeat("[", 1000), `{"x":[0` + strings.Repeat(",0", 1<<18) + `]}`} {
			s := open()
			if err := msgio.NewVarintWriter(s).WriteMsg([]byte(junk)); err != nil {
				continue // given up already
			}
			_, _ = io.Copy(io.Discard, s) // an error, or the end
		}
		answers("after nonsense")

		for i := range 3000 { // boots that never were; the member's own goodbye still counts
			s := open()
			b := fmt.Sprintf(`{"op":"bye","boot":"b%d","for":1000000000000}`, i)
			if err := msgio.NewVarintWriter(s).WriteMsg([]byte(b)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, s)
		}
		if n := asked.agent.Byes(); n > 1024 {
			t.Errorf("%d boots are waited for", n)
		}

		var endless int
		evil.agent.host.SetStreamHandler("/orch/data/1", func(s network.Stream) {
			defer s.Close()
			b, err := json.Marshal(map[string]any{"held": []api.Container{{ID: strings.Repeat("x", 900<<10)}}})
			for err == nil {
				endless++
				err = msgio.NewVarintWriter(s).WriteMsg(b)
			}
		})
		if _, err := sane.agent.NodeContainers(t.Context(), evil.name); api.CodeOf(err) != api.NodeUnreachable || !strings.Contains(err.Error(), "its answer is over") {
			t.Errorf("an answer without end gives %v", err)
		}
		if endless > 200 {
			t.Errorf("%d frames were taken of an answer without end", endless)
		}
		answers("after an answer without end")
	})
}

// A record that no node can read, of a later release or of none, stays in the table
// and stops nobody.
func TestUnreadableRecords(t *testing.T) {
	inCluster(t, 3, eightCPUs, func(t *testing.T, c *cluster) {
		stamp := gossip.Stamp{Major: 1 << 40, Minor: 1, Writer: "evil"}
		for key, value := range map[string]string{
			"j/poison": `{"spec":{"name":"other"}}`, "j/types": `{"spec":{"name":[1]}}`, "j/huge": `{"spec":{"name":"huge","replicas":1000000000}}`,
			"j/none": `nonsense`, "m/nobody": `{}`, "z/later": `{"a":1}`,
		} {
			if err := c.nodes[0].agent.PutRaw(gossip.Record{Key: key, Value: []byte(value), Stamp: stamp, Time: 1}); err != nil {
				t.Fatal(err)
			}
		}
		c.within(time.Minute, "the records everywhere", func() string {
			for _, n := range c.nodes {
				if dump := strings.Join(n.agent.Dump(), "\n"); !strings.Contains(dump, "j/poison") || !strings.Contains(dump, "z/later") {
					return n.name + " lacks them"
				}
			}
			return ""
		})
		c.submit(c.nodes[1], service("web", 3))
		c.settle(time.Minute, c.nodes...)
		c.nodes[2].stop()
		c.nodes[2].start(false) // reads them from its disk
		c.settle(2*time.Minute, c.nodes...)
	})
}

// A full table refuses new jobs and says so, here and as an alarm; what runs goes on,
// and can be changed and removed, which makes room in the end.
func TestFullTable(t *testing.T) {
	inCluster(t, 1, eightCPUs, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.stop()
		c.maxRecords, c.retention = 8, 2*time.Minute
		n.start(false)
		c.settle(time.Minute, n)
		c.submit(n, service("web", 2)) // 3 records, beside that of the node
		c.settle(time.Minute, n)
		for i := range 4 {
			j := service(fmt.Sprint("fill", i), 0)
			c.submit(n, j)
		}
		_, err := n.agent.Submit(t.Context(), service("more", 0), api.WriteOptions{})
		if api.CodeOf(err) != api.TableFull || !strings.Contains(err.Error(), "8 records of 8") {
			t.Errorf("a job beyond the limit is answered %v", err)
		}
		alarmed := func() string {
			info, err := n.agent.Cluster(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range info.Alarms {
				if a.Code == "table_full" {
					return ""
				}
			}
			return fmt.Sprintf("the alarms are %+v", info.Alarms)
		}
		c.within(10*time.Second, "the alarm", alarmed)
		if _, err := n.agent.Scale(t.Context(), "web", 1, api.WriteOptions{}); err != nil {
			t.Errorf("scaling a job in a full table: %v", err)
		}
		for i := range 4 {
			if _, err := n.agent.Remove(t.Context(), fmt.Sprint("fill", i), api.WriteOptions{}); err != nil {
				t.Errorf("removing a job in a full table: %v", err)
			}
		}
		c.want["web"] = 1
		for i := range 4 {
			delete(c.want, fmt.Sprint("fill", i))
		}
		c.settle(time.Minute, n)
		<-time.After(5 * time.Minute)
		if alarmed() == "" {
			t.Error("the alarm lasts although there is room")
		}
		c.submit(n, service("more", 1))
		c.settle(time.Minute, n)
		var raised, cleared int
		err = n.agent.Events(t.Context(), api.EventFilter{}, func(e api.Event) error {
			switch {
			case e.Type == api.EventAlarmTable:
				raised++
			case e.Type == api.EventAlarmCleared && strings.Contains(e.Message, "has room again"):
				cleared++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if raised != 1 || cleared != 1 {
			t.Errorf("told %d times of the full table and %d times of its end, want once each", raised, cleared)
		}
	})
}
