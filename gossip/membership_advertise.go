package gossip

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// NetInterface is a network interface of this host, with the addresses that other
// hosts may use.
type NetInterface struct {
	Name  string
	Addrs []netip.Addr
}

// ChooseAdvertise decides where the other nodes reach this one. flag is an IP
// address or the name of an interface, either with an optional :port (see
// SplitAdvertise), or empty. When it is empty and peer (host[:port]) is given, it
// is the address from which the kernel reaches that peer; else the one of the
// default route; else loopback. note says why, and others are the addresses that
// were not chosen, both for people.
func ChooseAdvertise(flag, peer string) (addr netip.Addr, note string, others []string, err error) {
	ifaces, err := netInterfaces()
	if err != nil {
		return addr, "", nil, err
	}
	toward := "192.0.2.1:9" // a documentation address: it only asks for the default route
	if peer != "" {
		if toward, err = gossipTarget(peer); err != nil {
			return addr, "", nil, err
		}
	}
	return PickAdvertise(flag, peer, sourceToward(toward), ifaces)
}

// SplitAdvertise splits the value of --advertise into an address or interface, and
// a port, which is 0 if none is given.
func SplitAdvertise(flag string) (host string, port int, err error) {
	if _, err := netip.ParseAddr(flag); err == nil || !strings.Contains(flag, ":") {
		return flag, 0, nil
	}
	host, p, err := net.SplitHostPort(flag)
	n, perr := strconv.ParseUint(p, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("--advertise %q: want an address or an interface, with or without :PORT", flag)
	}
	return host, int(n), nil
}

// PickAdvertise is ChooseAdvertise without I/O: source is the kernel's answer, and
// invalid if there is none.
func PickAdvertise(flag, peer string, source netip.Addr, ifaces []NetInterface) (addr netip.Addr, note string, others []string, err error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case flag != "":
		addr, note, err = flagAdvertise(flag, ifaces)
		if err != nil {
			return netip.Addr{}, "", nil, err
		}
	case peer != "" && source.IsValid():
		addr, note = source, "the way to "+peer
	case source.IsValid() && !source.IsLoopback() && !engineInterface(interfaceOf(source, ifaces)):
		addr, note = source, "the default route"
	default:
		addr, note = loopback, "no other address: only this machine reaches it"
		for _, i := range ifaces {
			if !engineInterface(i.Name) && len(i.Addrs) > 0 && !i.Addrs[0].IsLoopback() {
				addr, note = i.Addrs[0], "the first address; there is no default route"
				break
			}
		}
	}
	if name := interfaceOf(addr, ifaces); name != "" {
		note = name + ", " + note
	}
	for _, i := range ifaces {
		for _, a := range i.Addrs {
			if a != addr && !a.IsLoopback() && !engineInterface(i.Name) {
				others = append(others, fmt.Sprintf("%s (%s)", a, i.Name))
			}
		}
	}
	return addr, note, others, nil
}

func flagAdvertise(flag string, ifaces []NetInterface) (netip.Addr, string, error) {
	host, _, err := SplitAdvertise(flag)
	if err != nil {
		return netip.Addr{}, "", err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() {
			return netip.Addr{}, "", fmt.Errorf("--advertise %s: no other node can reach that address", host)
		}
		return addr.Unmap(), "--advertise", nil
	}
	var names []string
	for _, i := range ifaces {
		names = append(names, i.Name)
		if i.Name == host && len(i.Addrs) > 0 {
			return i.Addrs[0], "--advertise", nil
		}
	}
	return netip.Addr{}, "", fmt.Errorf("--advertise %q: not an IP address, and no interface with an address (there are %s)", host, strings.Join(names, ", "))
}

// engineInterface says whether an interface belongs to a container engine: its
// address is the same on every host.
func engineInterface(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func interfaceOf(addr netip.Addr, ifaces []NetInterface) string {
	for _, i := range ifaces {
		if slices.Contains(i.Addrs, addr) {
			return i.Name
		}
	}
	return ""
}

// netInterfaces lists the interfaces that are up, IPv4 before IPv6.
func netInterfaces() ([]NetInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var list []NetInterface
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		iface := NetInterface{Name: i.Name}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if addr := prefix.Addr().Unmap(); err == nil && !addr.IsLinkLocalUnicast() {
				iface.Addrs = append(iface.Addrs, addr)
			}
		}
		slices.SortStableFunc(iface.Addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
		list = append(list, iface)
	}
	return list, nil
}

// sourceToward asks the kernel from which address it reaches target. Connecting a
// UDP socket sends nothing.
func sourceToward(target string) netip.Addr {
	c, err := net.Dial("udp", target)
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = c.Close() }()
	ap, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
