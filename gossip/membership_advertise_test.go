package gossip_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/gossip"
)

func TestPickAdvertise(t *testing.T) {
	ip := netip.MustParseAddr
	ifaces := []gossip.NetInterface{
		{Name: "lo", Addrs: []netip.Addr{ip("127.0.0.1")}},
		{Name: "docker0", Addrs: []netip.Addr{ip("172.17.0.1")}},
		{Name: "eth0", Addrs: []netip.Addr{ip("203.0.113.7"), ip("2001:db8::7")}},
		{Name: "wg0", Addrs: []netip.Addr{ip("10.8.0.2")}},
	}
	engines := ifaces[:2]
	tests := []struct {
		name, flag, peer, source string
		ifaces                   []gossip.NetInterface
		want, note, err          string
	}{
		{"default route", "", "", "203.0.113.7", ifaces, "203.0.113.7", "eth0, the default route", ""},
		{"toward a peer", "", "10.8.0.1", "10.8.0.2", ifaces, "10.8.0.2", "wg0, the way to 10.8.0.1", ""},
		{"toward this machine", "", "127.0.0.1", "127.0.0.1", ifaces, "127.0.0.1", "lo, the way to 127.0.0.1", ""},
		{"the engine's route", "", "", "172.17.0.1", ifaces, "203.0.113.7", "eth0, the first address; there is no default route", ""},
		{"no route", "", "", "", ifaces, "203.0.113.7", "eth0, the first address; there is no default route", ""},
		{"only engines", "", "", "", engines, "127.0.0.1", "lo, no other address: only this machine reaches it", ""},
		{"an address", "198.51.100.9", "", "203.0.113.7", ifaces, "198.51.100.9", "--advertise", ""},
		{"an address and a port", "198.51.100.9:8000", "", "203.0.113.7", ifaces, "198.51.100.9", "--advertise", ""},
		{"an IPv6 address", "2001:db8::7", "", "", ifaces, "2001:db8::7", "eth0, --advertise", ""},
		{"an interface", "wg0", "203.0.113.1", "203.0.113.7", ifaces, "10.8.0.2", "wg0, --advertise", ""},
		{"an interface and a port", "wg0:8000", "", "", ifaces, "10.8.0.2", "wg0, --advertise", ""},
		{"an engine on demand", "docker0", "", "", ifaces, "172.17.0.1", "docker0, --advertise", ""},
		{"no such interface", "tun9", "", "", ifaces, "", "", "there are lo, docker0, eth0, wg0"},
		{"any address", "0.0.0.0", "", "", ifaces, "", "", "no other node can reach"},
		{"bad port", "wg0:x", "", "", ifaces, "", "", "with or without :PORT"},
	}
	for _, tt := range tests {
		var source netip.Addr
		if tt.source != "" {
			source = ip(tt.source)
		}
		addr, note, others, err := gossip.PickAdvertise(tt.flag, tt.peer, source, tt.ifaces)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got error %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || addr.String() != tt.want || note != tt.note {
			t.Errorf("%s: got %v (%s) %v, want %s (%s)", tt.name, addr, note, err, tt.want, tt.note)
		}
		for _, o := range others {
			if strings.HasPrefix(o, tt.want+" ") || strings.Contains(o, "docker") || strings.Contains(o, "127.") {
				t.Errorf("%s: %s is offered as another address", tt.name, o)
			}
		}
	}
	_, _, others, _ := gossip.PickAdvertise("", "", ip("203.0.113.7"), ifaces)
	if want := []string{"2001:db8::7 (eth0)", "10.8.0.2 (wg0)"}; !slices.Equal(others, want) {
		t.Errorf("others: got %q, want %q", others, want)
	}
}

func TestChooseAdvertiseTowardLoopback(t *testing.T) {
	addr, note, _, err := gossip.ChooseAdvertise("", "127.0.0.1:7071")
	if err != nil || addr.String() != "127.0.0.1" {
		t.Errorf("got %v (%s) %v, want 127.0.0.1", addr, note, err)
	}
}
