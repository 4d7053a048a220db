package gossip_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/gossip"
)

func TestProfiles(t *testing.T) {
	for p, want := range map[gossip.Profile][2]time.Duration{
		gossip.ProfileFast: {time.Second, 3 * time.Second},
		gossip.ProfileLAN:  {6 * time.Second, 15 * time.Second},
	} {
		if got := p.DetectionTime(5); got < want[0] || got > want[1] {
			t.Errorf("%s: detection takes %v, want between %v and %v", p, got, want[0], want[1])
		}
		if p.DetectionTime(100) <= p.DetectionTime(10) {
			t.Errorf("%s: 100 nodes need no longer than 10", p)
		}
	}
	if err := gossip.Profile("local").Check(); err == nil {
		t.Error(`profile "local" was accepted`)
	}
}

func TestSerfLogsAreParsed(t *testing.T) {
	tests := []struct {
		line  string
		level logrus.Level
		msg   string
	}{
		{"[ERR] memberlist: Decrypt packet failed", logrus.WarnLevel, "memberlist: Decrypt packet failed"},
		{"[ERR] memberlist: Push/Pull with x failed: dial", logrus.DebugLevel, "memberlist: Push/Pull with x failed: dial"},
		{"[WARN] serf: Shutdown without a Leave", logrus.DebugLevel, "serf: Shutdown without a Leave"},
		{"[WARN] memberlist: Was able to connect to x over TCP but UDP probes failed", logrus.InfoLevel, "memberlist: Was able to connect to x over TCP but UDP probes failed"},
		{`[ERR] memberlist: discarding stream with unacceptable label "": from=x`, logrus.DebugLevel, `memberlist: discarding stream with unacceptable label "": from=x`},
		{"[INFO] serf: EventMemberJoin", logrus.DebugLevel, "serf: EventMemberJoin"},
		{"no level [ERR] here", logrus.DebugLevel, "no level [ERR] here"},
		{"[", logrus.DebugLevel, "["},
		{"", logrus.DebugLevel, ""},
	}
	for _, tt := range tests {
		if level, msg := gossip.TestParseMemberLog(tt.line); level != tt.level || msg != tt.msg {
			t.Errorf("%q: got %v %q, want %v %q", tt.line, level, msg, tt.level, tt.msg)
		}
	}
}

func TestSlogHandler(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetFormatter(&logrus.JSONFormatter{})
	l := slog.New(gossip.SlogHandler(log)).With("logger", "swarm2").WithGroup("dial")
	l.Info("noise")
	l.Warn("more noise")
	if out.Len() != 0 {
		t.Errorf("noise was logged: %s", out.String())
	}
	l.Error("it broke", "peer", "x")
	for _, want := range []string{`"level":"warning"`, `"logger":"swarm2"`, `"dial.peer":"x"`, `"msg":"it broke"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want %s in it", out.String(), want)
		}
	}
}

func TestGossipTarget(t *testing.T) {
	tests := map[string]string{
		"192.0.2.7": "192.0.2.7:7071", "192.0.2.7:99": "192.0.2.7:99", "vps1": "vps1:7071", "vps1.example.org:99": "vps1.example.org:99",
		"2001:db8::1": "[2001:db8::1]:7071", "[2001:db8::1]:99": "[2001:db8::1]:99",
		"": "", ":99": "", "vps1:": "", "vps1:0": "", "vps1:70000": "", "http://vps1": "", "a b": "", "name/1.2.3.4": "", "-x": "",
	}
	for in, want := range tests {
		got, err := gossip.TestGossipTarget(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q %v, want %q", in, got, err, want)
		}
		if err != nil && !errors.Is(err, gossip.ErrUnreachable) {
			t.Errorf("%q: %v does not wrap ErrUnreachable", in, err)
		}
	}
}

func TestExchangeErrors(t *testing.T) {
	err := gossip.TestExchangeError("a:1", errors.New("1 error occurred:\n\t* failed to join a:1: strange\n\n"))
	if want := "cannot reach a:1: strange"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	err = gossip.TestExchangeError("a:1", errors.New("read: i/o timeout"))
	if want := "did not answer"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
}

func memberAt(id, addr string, status gossip.MemberStatus) gossip.Member {
	ap := netip.MustParseAddrPort(addr)
	return gossip.Member{ID: id, Boot: "1", Addr: ap.Addr(), GossipPort: int(ap.Port()), PeerPort: 2, Status: status}
}

func TestBookKeepsWhoWasSeenAlive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	book, aside, err := gossip.TestOpenBook(path)
	if err != nil || aside != "" {
		t.Fatalf("no file yet: %q %v", aside, err)
	}
	see := func(want bool, members ...gossip.Member) {
		t.Helper()
		if got := book.Update(gossip.Newest(members), "self", time.Now()); got != want {
			t.Errorf("update says changed=%v, want %v", got, want)
		}
	}
	see(true, memberAt("a", "192.0.2.1:7", gossip.MemberAlive), memberAt("self", "192.0.2.9:7", gossip.MemberAlive))
	see(false, memberAt("a", "192.0.2.1:7", gossip.MemberAlive))
	see(false, memberAt("a", "192.0.2.1:7", gossip.MemberFailed), memberAt("b", "192.0.2.2:7", gossip.MemberFailed))
	see(true, memberAt("a", "192.0.2.3:7", gossip.MemberAlive), memberAt("c", "192.0.2.4:7", gossip.MemberAlive))
	see(true, memberAt("c", "192.0.2.4:7", gossip.MemberLeft))
	if err := book.Save(); err != nil {
		t.Fatal(err)
	}
	again, _, err := gossip.TestOpenBook(path)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"a": "192.0.2.3:7", "b": "", "c": "", "self": ""} {
		if got := again.Addr(id); got != want {
			t.Errorf("%s is at %q in the book, want %q", id, got, want)
		}
	}
	files, _ := os.ReadDir(filepath.Dir(path))
	if len(files) != 1 {
		t.Errorf("saving left %d files, want 1", len(files))
	}
}

func TestCorruptBookIsMovedAside(t *testing.T) {
	for name, content := range map[string]string{
		"cut": `{"version":1,"peers":{"a":`, "version": `{"version":2}`, "empty": "",
		"address": `{"version":1,"peers":{"a":{"addr":"nowhere"}}}`, "id": `{"version":1,"peers":{"../a":{"addr":"192.0.2.1:7"}}}`,
		"size": `{"version":1}` + strings.Repeat(" ", 2<<20),
	} {
		path := filepath.Join(t.TempDir(), "peers.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		book, aside, err := gossip.TestOpenBook(path)
		if err != nil || aside == "" {
			t.Errorf("%s: aside %q, %v, want it moved aside", name, aside, err)
			continue
		}
		if got, err := os.ReadFile(aside); err != nil || string(got) != content {
			t.Errorf("%s: what was moved aside is not what was there (%v)", name, err)
		}
		if err := book.Save(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedialPlanBacksOff(t *testing.T) {
	p := gossip.NewTestRedialPlan(time.Second, 15*time.Second)
	now := detectorStart
	var gaps []time.Duration
	last := now
	for range 8 {
		try, next := p.Due([]string{"x"}, now)
		if !slices.Equal(try, []string{"x"}) {
			t.Fatalf("at %v: tried %q, want x", now.Sub(detectorStart), try)
		}
		if early, _ := p.Due([]string{"x"}, next.Add(-1)); len(early) != 0 {
			t.Fatalf("tried %q before it was due", early)
		}
		gaps, last, now = append(gaps, next.Sub(now)), now, next
	}
	if gaps[0] != time.Second || gaps[7] != 15*time.Second || !slices.IsSorted(gaps) {
		t.Errorf("waits %v, want from 1s growing to 15s", gaps)
	}
	p.Due(nil, last)
	if try, _ := p.Due([]string{"x"}, last); len(try) != 1 {
		t.Error("missing once more: want a try at once")
	}
	if _, next := p.Due(nil, last); !next.IsZero() {
		t.Errorf("nothing is missing: next try at %v, want none", next)
	}
}

func TestConnectPlanLetsTheGreaterDial(t *testing.T) {
	alive := map[string]gossip.Member{"a": memberAt("a", "192.0.2.1:7", gossip.MemberAlive), "c": memberAt("c", "192.0.2.2:7", gossip.MemberAlive)}
	linked := map[string]bool{}
	connected := func(id string) bool { return linked[id] }
	p := gossip.NewTestConnectPlan("b")
	now := detectorStart
	dial, next := p.Step(now, alive, connected)
	if !slices.Equal(dial, []string{"a"}) || next.Sub(now) != time.Second {
		t.Errorf("first: dialled %q, next in %v, want a, then 1s", dial, next.Sub(now))
	}
	now = next
	if dial, _ = p.Step(now, alive, connected); !slices.Equal(dial, []string{"c"}) {
		t.Errorf("after 1s: dialled %q, want c (a is still being dialled)", dial)
	}
	p.Done("a")
	p.Done("c")
	linked["c"] = true
	dial, next = p.Step(now.Add(time.Second), alive, connected)
	if !slices.Equal(dial, []string{"a"}) || !next.IsZero() {
		t.Errorf("after a failure: dialled %q, next %v, want a", dial, next)
	}
	p.Done("a")
	if dial, next = p.Step(now.Add(time.Second), alive, connected); len(dial) != 0 || next.IsZero() {
		t.Errorf("at once after a failure: dialled %q, next %v, want a wait", dial, next)
	}
	a := alive["a"]
	a.Boot = "2"
	alive["a"] = a
	if dial, _ = p.Step(now.Add(time.Second), alive, connected); !slices.Equal(dial, []string{"a"}) {
		t.Errorf("a new boot: dialled %q, want a at once", dial)
	}
}
