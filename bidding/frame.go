package bidding

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of what a frame may hold, since a few bytes of JSON can stand for many in
// memory: "[{},{}…". There may be a slot for each replica.
const (
	maxElements = 1 << 17 // commas outside strings
	maxDepth    = 32      // of lists and objects in each other
	frameBegin  = 4 << 10 // bytes read before memory for more is taken
)

// readFrame receives one message of at most MaxFrame bytes, which a varint of its
// length precedes. Memory is taken as its bytes come, not as the length promises.
func readFrame(from io.Reader) ([]byte, error) {
	r := bufio.NewReader(from)
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if length > MaxFrame {
		return nil, fmt.Errorf("receive: %w: %d bytes; the limit is %d", ErrTooLarge, length, MaxFrame)
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
			return nil, fmt.Errorf("receive: %w", err)
		}
		b = b[:len(b)+len(part)]
	}
	return b, checkJSON(b)
}

// checkJSON counts what is in b, as far as a look at each byte tells: whether it is
// JSON at all, Decode says.
func checkJSON(b []byte) error {
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
		if elements > maxElements || depth > maxDepth {
			return fmt.Errorf("receive: %w: over %d elements, or deeper than %d", ErrMalformed, maxElements, maxDepth)
		}
	}
	return nil
}
