package gossip

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of a frame. A peer that has the cluster's secret may still be out of its
// mind, and a few bytes of JSON can stand for many in memory: "[{},{}…".
const (
	MaxFrame    = 1 << 20 // bytes
	maxElements = 1 << 16 // commas outside strings
	maxDepth    = 32      // of lists and objects in each other
	frameBegin  = 4 << 10 // bytes read before memory for more is taken
)

// ReadFrame reads one frame of JSON, of at most MaxFrame bytes and so many elements,
// which a varint of its length precedes. Memory is taken as the bytes come, not as
// the length promises. io.EOF says that there is no further frame.
func ReadFrame(r *bufio.Reader, elements int) ([]byte, error) {
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if length > MaxFrame {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d are allowed", ErrProtocol, length, MaxFrame)
	}
	n := int(length)
	b := make([]byte, 0, min(n, frameBegin))
	for len(b) < n {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), n-len(b)))
		}
		part := b[len(b):min(cap(b), n)]
		if _, err := io.ReadFull(r, part); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		b = b[:len(b)+len(part)]
	}
	return b, checkJSON(b, elements)
}

// checkJSON counts what is in b, as far as a look at each byte tells: whether it is
// JSON at all, its decoder says.
func checkJSON(b []byte, most int) error {
	elements, depth, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == ',':
			elements++
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if elements > most || depth > maxDepth {
			return fmt.Errorf("%w: a frame of more than %d elements, or deeper than %d", ErrProtocol, most, maxDepth)
		}
	}
	return nil
}
