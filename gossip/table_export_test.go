package gossip

import (
	"bytes"
	"encoding/json"
)

// What only tests outside the package need to see.

// DecodeSyncFrame decodes one frame of a sync.
func DecodeSyncFrame(b []byte) (m SyncMessage, err error) { return m, decodeFrame(b, &m) }

// DecodePushFrame decodes and checks one push, and returns its records.
func DecodePushFrame(b []byte) ([]Record, error) {
	var r pushRequest
	if err := decodeFrame(b, &r); err != nil {
		return nil, err
	}
	return r.Records, r.check()
}

// EncodePush is a push frame of a boot.
func EncodePush(boot string, recs ...Record) []byte {
	b, err := json.Marshal(pushRequest{Min: WireMin, Max: WireMax, Boot: boot, Durable: true, Records: recs})
	if err != nil {
		panic(err)
	}
	return b
}

// EncodeLazyPush is the same for a push that need not wait for the disk.
func EncodeLazyPush(boot string, recs ...Record) []byte {
	return bytes.Replace(EncodePush(boot, recs...), []byte(`"durable":true`), []byte(`"durable":false`), 1)
}

// DecodePushReply says whether a push was refused for want of a sync.
func DecodePushReply(b []byte) (unsynced bool, err error) {
	var r pushReply
	return r.Unsynced, decodeFrame(b, &r)
}

// EncodeRecord and DecodeRecord are the form of a record on disk.
func EncodeRecord(r Record) ([]byte, error) { return encodeDisk(r) }

// DecodeRecord reads the record that the file has under key.
func DecodeRecord(key, b []byte) (Record, error) { return decodeRecord(key, b) }

// LimitSize makes the file full at n bytes.
func (s *Store) LimitSize(n int) { s.db.MaxSize = n }

// LimitDisk makes the replica's file full at n bytes.
func (r *Replica) LimitDisk(n int) { r.store.LimitSize(n) }

// WriteAside writes one file of records set aside.
func WriteAside(dir string, a Aside) (string, error) { return writeAside(dir, a) }

// Pending says whether something is not on disk yet.
func (s *Store) Pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil || s.writing != nil
}
