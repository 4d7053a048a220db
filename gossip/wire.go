package gossip

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/libp2p/go-msgio"
)

// pushRequest is one frame of records that the sender holds. Its answer is a
// pushReply; a stream carries any number of the pairs.
type pushRequest struct {
	Min     int      `json:"min"`
	Max     int      `json:"max"`
	Boot    string   `json:"boot"`
	Durable bool     `json:"durable,omitempty"` // answer when they are on disk
	Onward  bool     `json:"onward,omitempty"`  // not sent to everybody: pass on what is news
	Records []Record `json:"records"`
}

// pushReply says what became of the records of a pushRequest.
type pushReply struct {
	Unsynced bool     `json:"unsynced,omitempty"` // nothing was taken: sync first
	Busy     bool     `json:"busy,omitempty"`     // nothing was taken: too much at once, come again
	Stale    []string `json:"stale,omitempty"`    // keys of which the receiver has a greater version
	Greater  []Record `json:"greater,omitempty"`  // those versions, as many as fit
	Refused  []string `json:"refused,omitempty"`  // keys not taken for another reason
	Error    string   `json:"error,omitempty"`
}

// frames reads and writes length-prefixed JSON on a stream.
type frames struct {
	r *bufio.Reader
	w msgio.WriteCloser
}

func newFrames(rw io.ReadWriter) frames {
	return frames{bufio.NewReader(rw), msgio.NewVarintWriter(rw)}
}

func (f frames) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(b) > MaxFrame {
		return fmt.Errorf("%w: frame of %d bytes, at most %d are allowed", ErrProtocol, len(b), MaxFrame)
	}
	return f.w.WriteMsg(b)
}

// read decodes the next frame into v; io.EOF says that there is none.
func (f frames) read(v any) error {
	b, err := f.next()
	if err != nil {
		return err
	}
	return decodeFrame(b, v)
}

// next reads a frame and leaves the decoding to the caller.
func (f frames) next() ([]byte, error) { return ReadFrame(f.r, maxElements) }

// decodeFrame takes exactly one JSON value. Fields that it does not know are
// ignored, so that a later release can add some.
func decodeFrame(b []byte, v any) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return fmt.Errorf("%w: empty frame", ErrProtocol)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: frame is not what it should be: %w", ErrProtocol, err)
	}
	return nil
}

// check refuses a request from a release that this one cannot talk with.
func (r pushRequest) check() error {
	if r.Max < WireMin || r.Min > WireMax {
		return fmt.Errorf("%w: the peer speaks versions %d to %d, this node %d to %d", ErrProtocol, r.Min, r.Max, WireMin, WireMax)
	}
	if r.Boot == "" || len(r.Boot) > MaxKey {
		return fmt.Errorf("%w: no boot in a push", ErrProtocol)
	}
	return nil
}

// batches splits records, parents first, into parts that fit a frame.
func batches(rules Rules, recs []Record) [][]Record {
	recs = append([]Record(nil), recs...)
	parentsFirst(rules, recs)
	var out [][]Record
	size := 0
	for i, r := range recs {
		n := recordSize(r)
		if i == 0 || size+n > framePart {
			out, size = append(out, nil), 0
		}
		size += n
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}
