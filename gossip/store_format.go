package gossip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// errFormat says that the file was written by another release, in a way that
// this one cannot read. That is no damage.
var errFormat = errors.New("data file has another format")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeDisk is a checksum of four bytes and JSON.
func encodeDisk(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli)), b...), nil
}

func decodeDisk(b []byte, v any) error {
	if len(b) < 4 {
		return fmt.Errorf("%d bytes are too few", len(b))
	}
	if sum := crc32.Checksum(b[4:], castagnoli); sum != binary.BigEndian.Uint32(b) {
		return fmt.Errorf("checksum %08x, want %08x", sum, binary.BigEndian.Uint32(b))
	}
	return json.Unmarshal(b[4:], v)
}

// decodeRecord reads the record that the file has under key.
func decodeRecord(key, b []byte) (Record, error) {
	var r Record
	if err := decodeDisk(b, &r); err != nil {
		return Record{}, err
	}
	if r.Key != string(key) {
		return Record{}, fmt.Errorf("it says that its key is %.100q", r.Key)
	}
	return r, r.Check()
}

// load reads the whole file, and makes a new one ready.
func (s *Store) load() (recs []Record, meta Meta, err error) {
	bad := make(map[string][]byte)
	err = s.db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketRecords, bucketValues, bucketQuarantine} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		if err := s.checkFormat(tx.Bucket(bucketMeta)); err != nil {
			return err
		}
		if b := tx.Bucket(bucketMeta).Get(keyMeta); b != nil {
			if err := decodeDisk(b, &meta); err != nil {
				return fmt.Errorf("what it remembers of other nodes: %w", err)
			}
		}
		err := tx.Bucket(bucketRecords).ForEach(func(k, v []byte) error {
			r, err := decodeRecord(k, v)
			if err != nil {
				s.log.WithFields(map[string]any{"key": string(k), "file": s.path}).WithError(err).
					Error("a record on disk cannot be read; it is kept aside in the file, and comes back from the other nodes")
				bad[string(k)] = slices.Clone(v)
				return nil
			}
			recs = append(recs, r)
			return nil
		})
		if err != nil {
			return err
		}
		return s.loadRest(tx, bad)
	})
	return recs, meta, err
}

func (s *Store) checkFormat(meta *bolt.Bucket) error {
	switch f := meta.Get(keyFormat); {
	case f == nil:
		return meta.Put(keyFormat, []byte(storeFormat))
	case string(f) != storeFormat:
		return fmt.Errorf("%w: %s is %.40q, this release reads %q: use the release that wrote it, or another --data-dir",
			errFormat, s.path, f, storeFormat)
	}
	return nil
}

// loadRest reads the owner's values, and moves records that cannot be read.
func (s *Store) loadRest(tx *bolt.Tx, bad map[string][]byte) error {
	for k, v := range bad {
		if err := tx.Bucket(bucketQuarantine).Put([]byte(k), v); err != nil {
			return err
		}
		if err := tx.Bucket(bucketRecords).Delete([]byte(k)); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketValues).ForEach(func(k, v []byte) error {
		s.values[string(k)] = slices.Clone(v)
		return nil
	})
}

// write commits b in one transaction.
func (s *Store) write(b *storeBatch) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		recs := tx.Bucket(bucketRecords)
		for k, r := range b.records {
			if err := putOrDelete(recs, k, r); err != nil {
				return fmt.Errorf("record %s: %w", k, err)
			}
		}
		if b.meta != nil {
			v, err := encodeDisk(b.meta)
			if err != nil {
				return err
			}
			if err := tx.Bucket(bucketMeta).Put(keyMeta, v); err != nil {
				return err
			}
		}
		for k, v := range b.values {
			if v == nil {
				if err := tx.Bucket(bucketValues).Delete([]byte(k)); err != nil {
					return err
				}
			} else if err := tx.Bucket(bucketValues).Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
}

func putOrDelete(recs *bolt.Bucket, key string, r *Record) error {
	if r == nil {
		return recs.Delete([]byte(key))
	}
	v, err := encodeDisk(r)
	if err != nil {
		return err
	}
	return recs.Put([]byte(key), v)
}
