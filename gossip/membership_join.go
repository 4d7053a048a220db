package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// DefaultGossipPort is meant where an address names no port.
const DefaultGossipPort = 7071

// Reasons why a node cannot be joined.
var (
	// ErrWrongToken: the cluster there has another secret.
	ErrWrongToken = errors.New("wrong token")
	// ErrUnreachable: nothing answers there, or nothing of orch does.
	ErrUnreachable = errors.New("cannot reach")
)

const (
	joinDial  = 3 * time.Second
	joinLimit = 9 * time.Second
	callLimit = 16 // addresses called at once
	maxSeeds  = 64 // addresses called that are not in the book; the newest count
)

// Join makes one attempt to enter the cluster through any of addrs
// (host[:port]), and knows its members when it succeeds. It takes less than 10 s.
// The error says for each address what was wrong; it wraps ErrWrongToken,
// ErrUnreachable or ErrVersions.
func (m *Membership) Join(ctx context.Context, addrs []string) error {
	if len(addrs) == 0 {
		return errors.New("join: no address given")
	}
	if m.serf == nil {
		return errNotOpen
	}
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	joined, err := m.call(ctx, addrs)
	if joined > 0 {
		m.refresh()
		return nil
	}
	return err
}

// call dials all addrs, and lets Serf exchange states with those that answer: a
// first dial of our own tells the reasons apart, and spares Serf, which tries one
// address after the other, the waiting.
func (m *Membership) call(ctx context.Context, addrs []string) (joined int, err error) {
	open := make([]netip.AddrPort, len(addrs))
	errs := make([]error, len(addrs))
	slots := make(chan struct{}, callLimit)
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			open[i], errs[i] = m.reach(ctx, addr)
		})
	}
	wg.Wait()
	for i, addr := range open {
		if errs[i] != nil {
			continue
		}
		if errs[i] = m.exchange(ctx, addr); errs[i] == nil {
			joined++
		}
	}
	for _, e := range errs {
		switch {
		case e == nil:
		case err == nil:
			err = e
		default:
			err = fmt.Errorf("%w; %w", err, e)
		}
	}
	return joined, err
}

// reach finds an IP address of addr at which something listens.
func (m *Membership) reach(ctx context.Context, addr string) (netip.AddrPort, error) {
	target, err := gossipTarget(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinDial)
	defer cancel()
	candidates, err := resolveTarget(ctx, target)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w %s: %w: is the name right?", ErrUnreachable, target, err)
	}
	for _, ap := range candidates {
		if m.isSelf(ap) {
			err = fmt.Errorf("%w another node at %s: it is this node's own address", ErrUnreachable, target)
			continue
		}
		c, dialErr := m.cfg.Dial(ctx, "tcp", ap.String())
		if dialErr == nil {
			_ = c.Close()
			return ap, nil
		}
		err = dialError(target, dialErr)
	}
	return netip.AddrPort{}, err
}

// exchange joins through Serf, which cannot be interrupted: when ctx ends first,
// its attempt runs out by itself.
func (m *Membership) exchange(ctx context.Context, addr netip.AddrPort) error {
	done := make(chan error, 1)
	m.tasks.Go(func() {
		_, err := m.serf.Join([]string{addr.String()}, true)
		done <- err
	})
	select {
	case err := <-done:
		return exchangeError(addr.String(), err)
	case <-ctx.Done():
		return fmt.Errorf("%w %s: it accepted a connection and did not answer", ErrUnreachable, addr)
	}
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// CheckAddress says what is wrong with addr as the gossip address of a node.
func CheckAddress(addr string) error {
	_, err := gossipTarget(addr)
	return err
}

// gossipTarget turns what a user writes into host:port.
func gossipTarget(addr string) (string, error) {
	if ip, err := netip.ParseAddr(addr); err == nil {
		return netip.AddrPortFrom(ip, DefaultGossipPort).String(), nil
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	host, port, found := strings.Cut(addr, ":")
	if !found {
		port = strconv.Itoa(DefaultGossipPort)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !hostName.MatchString(host) {
		return "", fmt.Errorf("%w %q: not an address: want HOST or HOST:PORT, as in 192.0.2.7:%d", ErrUnreachable, addr, DefaultGossipPort)
	}
	return net.JoinHostPort(host, port), nil
}

func resolveTarget(ctx context.Context, target string) ([]netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(target); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, nil
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	targets := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		targets[i] = netip.AddrPortFrom(ip.Unmap(), uint16(n))
	}
	return targets, nil
}

func dialError(addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w %s: connection refused: is orch running there, and is %s its gossip port?", ErrUnreachable, addr, port)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w %s: no answer: is the host up, and is port %s (tcp and udp) open to this node?", ErrUnreachable, addr, port)
	}
	return fmt.Errorf("%w %s: %w", ErrUnreachable, addr, err)
}

// exchangeError reads memberlist's errors, which are text. With a wrong key, each
// side cannot decrypt what the other one sends, and says so.
func exchangeError(addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	if err == nil {
		return nil
	}
	text := err.Error()
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
	}
	switch {
	case has(ErrVersions.Error()):
		_, which, _ := strings.Cut(text, ErrVersions.Error()+": ")
		return fmt.Errorf("%w: %s", ErrVersions, strings.TrimSpace(which))
	case has("no installed keys could decrypt"):
		return fmt.Errorf("%w: it does not belong to the cluster at %s", ErrWrongToken, addr)
	case has("EOF", "reset by peer", "broken pipe", "remote state", "msgType"):
		return fmt.Errorf("%w a node at %s: what listens there is not orch's gossip: is %s its gossip port?", ErrUnreachable, addr, port)
	case has("timeout", "deadline"):
		return fmt.Errorf("%w %s: it accepted a connection and did not answer", ErrUnreachable, addr)
	}
	// A list of one: "1 error occurred:\n\t* failed to join ADDR: reason".
	_, reason, _ := strings.Cut(text, "failed to join ")
	return fmt.Errorf("%w %s", ErrUnreachable, strings.TrimSpace(cmp.Or(reason, text)))
}

// callKnown keeps the book, and calls for ever those who are in it, or among the
// seeds, and are not alive.
func (m *Membership) callKnown(ctx context.Context) {
	plan := redialPlan{first: time.Second, cap: m.cfg.Profile.redialCap()}
	var said time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.callNow:
		case <-timer.C:
		}
		newest := Newest(m.Members())
		m.keepBook(newest)
		missing := m.missing(newest)
		m.mu.Lock()
		if m.leaving {
			missing = nil
		}
		m.mu.Unlock()
		try, next := plan.due(missing, time.Now(), rand.Float64())
		joined, err := m.call(ctx, try)
		if joined > 0 {
			m.refresh()
		}
		if err != nil && len(m.others()) == 0 && time.Since(said) >= time.Minute && ctx.Err() == nil {
			said = time.Now()
			m.log.WithError(err).WithField("known", len(missing)).Warn("alone: no known node answers; calling on")
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), 10*time.Millisecond))
		}
	}
}

// Call has addresses called now and for as long as nobody alive is known there,
// besides those of the book, which gets whoever answers.
func (m *Membership) Call(addrs []string) {
	m.bookMu.Lock()
	seeds := slices.Clone(m.seeds)
	for _, addr := range addrs {
		if !slices.Contains(seeds, addr) {
			seeds = append(seeds, addr)
		}
	}
	m.seeds = seeds[max(0, len(seeds)-maxSeeds):]
	m.bookMu.Unlock()
	wakeUp(m.callNow)
}

func (m *Membership) keepBook(newest map[string]Member) {
	m.bookMu.Lock()
	defer m.bookMu.Unlock()
	if m.book.update(newest, m.cfg.ID, time.Now()) {
		if err := m.book.save(); err != nil {
			m.log.WithError(err).Error("the peer book was not saved")
		}
	}
}

// Forget removes a node from the book, so that it is no longer called.
func (m *Membership) Forget(id string) {
	m.bookMu.Lock()
	defer m.bookMu.Unlock()
	if _, ok := m.book.peers[id]; !ok {
		return
	}
	delete(m.book.peers, id)
	if err := m.book.save(); err != nil {
		m.log.WithError(err).Error("the peer book was not saved")
	}
}
