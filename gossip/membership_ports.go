package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// CheckPort says whether network ("tcp" or "udp") port can be bound now. The error
// names the flag with which a user chooses another one. Port 0 is always free.
// (A libp2p host shares its port with any other process of the same user that
// shares it too: check its port here first.)
func CheckPort(ctx context.Context, network, bind string, port int, flag string) error {
	if port == 0 {
		return nil
	}
	addr := net.JoinHostPort(bind, strconv.Itoa(port))
	var err error
	if network == "udp" {
		var c net.PacketConn
		if c, err = (&net.ListenConfig{}).ListenPacket(ctx, network, addr); err == nil {
			return c.Close()
		}
	} else {
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(ctx, network, addr); err == nil {
			return l.Close()
		}
	}
	what := fmt.Sprintf("port %d/%s", port, network)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program: choose %s", what, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s needs more rights than this user has: choose %s above 1023", what, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this host has no address %s: choose another --bind", what, bind)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// bindError explains why the gossip port could not be bound. memberlist's own
// error is text; so the ports are tried once more.
func (m *Membership) bindError(ctx context.Context, bindErr error) error {
	for _, network := range []string{"tcp", "udp"} {
		if err := CheckPort(ctx, network, m.cfg.Bind, m.cfg.Port, "--gossip-port"); err != nil {
			return err
		}
	}
	return fmt.Errorf("bind the gossip port: %w", bindErr)
}
