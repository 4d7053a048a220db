package gossip

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// udpMagic begins our own datagrams on the gossip port. Those of memberlist begin
	// with the byte 244, of its label.
	udpMagic  = "orch-udp"
	udpAsk    = 'q'
	udpAnswer = 'a'
	udpEvery  = 150 * time.Millisecond // from one copy of a probe to the next
	// A port that the kernel chose for TCP may be taken for UDP.
	udpBindTries = 10
)

type udpNonce [16]byte

// udpProber is the real gossip port, and asks other nodes whether theirs can be
// reached by UDP. memberlist's own ping takes no answer that is later than the
// profile's probe timeout; on a busy machine all of them are, and whether a port is
// open does not depend on how quick it is.
//
// A probe names nobody in clear, but only the boot that it is meant for answers,
// and only to those who have the key. An answer is as long as what it answers:
// with false senders nothing can be gained from it.
type udpProber struct {
	*memberlist.NetTransport
	key     []byte
	name    string                  // of this boot
	packets chan *memberlist.Packet // what is memberlist's
	closing chan struct{}
	closed  chan struct{}
	once    sync.Once

	mu    sync.Mutex // guards asked
	asked map[udpNonce]udpQuestion
}

// udpQuestion is a probe that has no answer yet.
type udpQuestion struct {
	name     string        // who can answer
	answered chan struct{} // has room for one
}

// newUDPProber binds the port of conf, or for port 0 any that is free. forward is
// to be run, until Shutdown.
func newUDPProber(conf *memberlist.NetTransportConfig, key []byte, name string) (*udpProber, error) {
	t, err := memberlist.NewNetTransport(conf)
	for n := 1; err != nil && conf.BindPort == 0 && n < udpBindTries; n++ {
		t, err = memberlist.NewNetTransport(conf)
	}
	if err != nil {
		return nil, err
	}
	return &udpProber{NetTransport: t, key: key, name: name, packets: make(chan *memberlist.Packet),
		closing: make(chan struct{}), closed: make(chan struct{}), asked: map[udpNonce]udpQuestion{}}, nil
}

// PacketCh yields the packets that are memberlist's.
func (u *udpProber) PacketCh() <-chan *memberlist.Packet { return u.packets }

// Shutdown closes the port, and ends forward.
func (u *udpProber) Shutdown() (err error) {
	u.once.Do(func() {
		close(u.closing)
		err = u.NetTransport.Shutdown() // waits for its readers, whom forward still serves
		close(u.closed)
	})
	return err
}

// forward passes on what arrives.
func (u *udpProber) forward() {
	for {
		select {
		case p := <-u.NetTransport.PacketCh():
			if u.take(p) {
				continue
			}
			select {
			case u.packets <- p:
			case <-u.closing: // memberlist may have gone
			}
		case <-u.closed:
			return
		}
	}
}

// take says whether p is one of ours, and deals with it.
func (u *udpProber) take(p *memberlist.Packet) bool {
	body, ours := bytes.CutPrefix(p.Buf, []byte(udpMagic))
	if !ours {
		return false
	}
	var nonce udpNonce
	if len(body) != 1+len(nonce)+sha256.Size {
		return true
	}
	copy(nonce[:], body[1:])
	is := func(kind byte, name string) bool { return hmac.Equal(p.Buf, u.datagram(kind, nonce, name)) }
	switch body[0] {
	case udpAsk:
		if is(udpAsk, u.name) {
			// A lost answer is like a lost probe: the next copy is on its way.
			_, _ = u.WriteTo(u.datagram(udpAnswer, nonce, u.name), p.From.String())
		}
	case udpAnswer:
		u.mu.Lock()
		q, asked := u.asked[nonce]
		u.mu.Unlock()
		if asked && is(udpAnswer, q.name) {
			wakeUp(q.answered)
		}
	}
	return true
}

// datagram is a probe of, or an answer from, the boot with that name.
func (u *udpProber) datagram(kind byte, nonce udpNonce, name string) []byte {
	b := append(append([]byte(udpMagic), kind), nonce[:]...)
	mac := hmac.New(sha256.New, u.key)
	mac.Write(b)
	mac.Write([]byte(name))
	return mac.Sum(b)
}

// probe says whether the boot with that name answers at to before ctx ends. It
// sends copies of one probe, and takes the answer to any, however late.
func (u *udpProber) probe(ctx context.Context, to netip.AddrPort, name string) bool {
	var nonce udpNonce
	_, _ = rand.Read(nonce[:]) // never fails
	q := udpQuestion{name: name, answered: make(chan struct{}, 1)}
	u.mu.Lock()
	u.asked[nonce] = q
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		delete(u.asked, nonce)
		u.mu.Unlock()
	}()
	again := time.NewTicker(udpEvery)
	defer again.Stop()
	for {
		// An error is like a loss: the way may be there at the next copy.
		_, _ = u.WriteTo(u.datagram(udpAsk, nonce, name), to.String())
		select {
		case <-q.answered:
			return true
		case <-ctx.Done():
			return false
		case <-again.C:
		}
	}
}
