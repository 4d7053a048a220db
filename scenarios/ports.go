package scenarios

import (
	"fmt"
	"net"
	"strconv"
)

// A node has a block of ports: the API, gossip (both TCP and UDP) and peers.
const (
	blockStep = 10
	lastBlock = 32000 // below the ports that Linux hands out by itself
)

// FreeBlock is the first base port from the given one on, in steps of ten, whose
// block is free on the loopback interface: base for the API, base+1 for gossip,
// base+2 for peers. Nobody is kept from taking it meanwhile.
func FreeBlock(from int) (int, error) {
	for base := from; base <= lastBlock; base += blockStep {
		if blockFree(base) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no three free ports in a row on 127.0.0.1 from %d to %d", from, lastBlock)
}

// blockFree tries all four sockets of a node.
func blockFree(base int) bool {
	for port := base; port < base+3; port++ {
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			return false
		}
		defer l.Close()
	}
	p, err := net.ListenPacket("udp", loopback(base+1))
	if err != nil {
		return false
	}
	p.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
