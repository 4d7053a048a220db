package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/exitae337/orchestergo/gossip"
)

// allDrivers are those that --drivers may name.
var allDrivers = []string{"docker", "process"}

// printBanner tells how the node is reached and what to do next. It never has the
// token: what an agent prints is kept in logs.
func (a *agent) printBanner(l net.Listener) {
	gossipAddr, peerAddr := a.in.Addresses()
	advertised, gossipPort, _ := net.SplitHostPort(gossipAddr)
	_, peerPort, _ := net.SplitHostPort(peerAddr)
	what := "cluster " + a.in.to.secret.ClusterID()
	switch {
	case a.in.to.fresh:
		what = "new " + what
	case a.in.to.within > 0:
		what = "joined " + what
	}
	w := a.env.Stdout
	fmt.Fprintf(w, "orch %s  node %s (%s)  %s\n", version, a.flags.name, a.in.ID().Short(), what)
	fmt.Fprintf(w, "listening  gossip %s tcp+udp   peers :%s tcp   api %s\n", gossipAddr, peerPort, a.apiURL(l))
	fmt.Fprintf(w, "advertise  %s (%s)", advertised, a.note)
	if len(a.others) > 0 {
		fmt.Fprintf(w, "  not: %s       change: --advertise %s", strings.Join(a.others, ", "), otherChoice(a.others[0], a.note))
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "drivers    %s   capacity %s cpus, %s   peers %d\n", a.driverLine(), a.offers.CPUs, a.offers.Memory, a.in.View().Known-1)
	if !a.in.to.fresh {
		return
	}
	fmt.Fprintf(w, "Add a machine (it must reach %s tcp+udp and %s tcp here, and be reached there):\n", gossipPort, peerPort)
	join := advertised
	if gossipPort != strconv.Itoa(gossip.DefaultGossipPort) {
		join = gossipAddr
	}
	fmt.Fprintf(w, "  ssh %s %s | ssh root@NEW orch join %s --token-file -\n", a.login(advertised), a.tokenCommand(), join)
	fmt.Fprintf(w, "  or on it, and paste the token when asked:   orch join %s\n", join)
}

// otherChoice is what would have --advertise take another address, given as
// "ADDRESS (INTERFACE)", than the one of the interface with which note begins.
func otherChoice(other, note string) string {
	addr, name, _ := strings.Cut(strings.TrimSuffix(other, ")"), " (")
	if strings.HasPrefix(note, name+", ") {
		return addr // its first address is the one chosen
	}
	return name
}

// apiURL is what a client may be given.
func (a *agent) apiURL(l net.Listener) string {
	if isUnix(a.flags.api) {
		return a.flags.api
	}
	host, _, _ := net.SplitHostPort(a.flags.api)
	at, port, _ := net.SplitHostPort(l.Addr().String()) // any free one, if it was 0
	return "http://" + net.JoinHostPort(cmp.Or(host, at), port)
}

// driverLine says of each driver there is whether this node has it.
func (a *agent) driverLine() string {
	var parts []string
	for _, name := range allDrivers {
		d, ok := a.opened[name]
		switch v, versioned := d.(interface{ EngineVersion() string }); {
		case !ok:
			parts = append(parts, name+" (off)")
		case versioned && v.EngineVersion() != "":
			parts = append(parts, name+" "+v.EngineVersion()+" (ok)")
		default:
			parts = append(parts, name+" (ok)")
		}
	}
	return strings.Join(parts, "   ")
}

// login is how ssh reaches this user here.
func (a *agent) login(host string) string {
	if os.Geteuid() == 0 {
		return "root@" + host
	}
	return host
}

// tokenCommand is what prints the token on this machine.
func (a *agent) tokenCommand() string {
	if a.flags.dataDir == defaultDataDir(a.env) {
		return "orch token"
	}
	return "orch token --data-dir " + a.dir.Path
}
