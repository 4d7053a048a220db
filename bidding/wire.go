package bidding

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/exitae337/orchestergo/api"
)

// MaxFrame is the greatest message, in bytes of JSON.
const MaxFrame = 1 << 20

// Limits of what is in a message, so that a peer gone wrong costs little.
const (
	maxID    = 256
	maxTerms = 64
)

// Errors that Encode and Decode wrap.
var (
	ErrTooLarge  = errors.New("message is too large") // over MaxFrame
	ErrMalformed = errors.New("malformed message")
)

// Message is one of the four messages of an auction.
type Message interface {
	Call | Bid | Award | Answer
	// Check says what cannot be right about a message, as far as it shows without
	// knowing anything else.
	Check() error
}

// Encode writes m as JSON of at most MaxFrame bytes.
func Encode[M Message](m M) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	if len(b) > MaxFrame {
		return nil, fmt.Errorf("%w: %d bytes; the limit is %d", ErrTooLarge, len(b), MaxFrame)
	}
	return b, nil
}

// Decode reads what Encode wrote, and checks it. Fields that this version does
// not know are ignored: later versions may add some. A message of a protocol
// version not spoken here is returned unchecked, for an answer that says so.
func Decode[M Message](b []byte) (M, error) {
	var m M
	if len(b) > MaxFrame {
		return m, fmt.Errorf("%w: %d bytes; the limit is %d", ErrTooLarge, len(b), MaxFrame)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if checkWire(wireOf(m)) != nil {
		return m, nil
	}
	if err := m.Check(); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return m, nil
}

func wireOf(m any) int {
	switch m := m.(type) {
	case Call:
		return m.Wire
	case Bid:
		return m.Wire
	case Award:
		return m.Wire
	case Answer:
		return m.Wire
	}
	return 0
}

// Check implements [Message].
func (c Call) Check() error {
	switch r := c.Job.Resources; {
	case c.Auction == "" || len(c.Auction) > maxID:
		return fmt.Errorf("auction id of %d bytes (1 to %d are allowed)", len(c.Auction), maxID)
	case !api.ValidJobName(c.Job.Name):
		return fmt.Errorf("%.80q is not a job name", c.Job.Name)
	case r.CPUs < 0 || r.Memory < 0 || r.CPUs > 1e9 || r.Memory > 1<<50:
		return errors.New("resources out of range")
	case len(c.Job.Ports) > 64:
		return fmt.Errorf("%d ports (at most 64)", len(c.Job.Ports))
	case len(c.Slots) == 0:
		return errors.New("no slots on offer")
	}
	last := -1
	for _, slot := range c.Slots {
		if slot <= last || slot >= api.MaxReplicas {
			return fmt.Errorf("slot %d out of order or range", slot)
		}
		last = slot
	}
	return nil
}

// Check implements [Message].
func (b Bid) Check() error {
	last := 1.0
	for _, s := range b.Scores {
		if !(s >= 0 && s <= last) {
			return fmt.Errorf("score %v (they are within 0 and 1 and never rise)", s)
		}
		last = s
	}
	seen := make(map[int]bool, len(b.StopFirst))
	for _, slot := range b.StopFirst {
		if slot < 0 || slot >= api.MaxReplicas || seen[slot] {
			return fmt.Errorf("slot %d out of range or named twice", slot)
		}
		seen[slot] = true
	}
	switch {
	case len(b.StopFirst) > len(b.Scores):
		return fmt.Errorf("%d scores for %d slots", len(b.Scores), len(b.StopFirst))
	case len(b.Terms) > maxTerms:
		return fmt.Errorf("%d terms (at most %d)", len(b.Terms), maxTerms)
	}
	return nil
}

// Check implements [Message].
func (a Award) Check() error {
	switch {
	case a.Auction == "" || len(a.Auction) > maxID:
		return fmt.Errorf("auction id of %d bytes (1 to %d are allowed)", len(a.Auction), maxID)
	case a.Boot == "" || len(a.Boot) > maxID:
		return fmt.Errorf("boot id of %d bytes (1 to %d are allowed)", len(a.Boot), maxID)
	case a.Seq == 0:
		return errors.New("award without a number")
	case len(a.Job) == 0:
		return errors.New("award without the job's record")
	case len(a.Slots) == 0 || len(a.Slots) > MaxAward:
		return fmt.Errorf("%d slots (1 to %d are allowed)", len(a.Slots), MaxAward)
	}
	seen := make(map[int]bool, len(a.Slots))
	for _, s := range a.Slots {
		switch {
		case s.Slot < 0 || s.Slot >= api.MaxReplicas || seen[s.Slot]:
			return fmt.Errorf("slot %d out of range or named twice", s.Slot)
		case s.Epoch == 0 || s.Epoch >= MaxEpoch:
			return fmt.Errorf("epoch %d (1 to %d are allowed)", s.Epoch, uint64(MaxEpoch-1))
		case s.Failures < 0:
			return fmt.Errorf("%d failures", s.Failures)
		}
		seen[s.Slot] = true
	}
	return nil
}

// Check implements [Message].
func (a Answer) Check() error {
	if len(a.Slots) > MaxAward {
		return fmt.Errorf("%d slots (at most %d)", len(a.Slots), MaxAward)
	}
	for _, s := range a.Slots {
		if s.Slot < 0 || s.Slot >= api.MaxReplicas {
			return fmt.Errorf("slot %d out of range", s.Slot)
		}
	}
	return nil
}

// answers is nil when ans speaks of the slots of aw, in its order.
func (a Answer) answers(aw Award) error {
	if len(a.Slots) != len(aw.Slots) {
		return fmt.Errorf("an answer for %d slots to an award of %d", len(a.Slots), len(aw.Slots))
	}
	for i, s := range a.Slots {
		if s.Slot != aw.Slots[i].Slot {
			return fmt.Errorf("an answer for slot %d in place of slot %d", s.Slot, aw.Slots[i].Slot)
		}
	}
	return nil
}
