package api

import "strings"

// MaxKey is how many characters an idempotency key may have.
const MaxKey = 255

// WriteOptions are the conditions of a write and the key by which it is known
// again. The zero value has none.
type WriteOptions struct {
	// IfMatch lists ETags as HTTP does, quoted and with commas between; one alone
	// needs no quotes, and "*" is any. Unless the job has one of them, the write
	// fails with Stale and changes nothing.
	IfMatch string
	// IfNoneMatch is the opposite: "*" wants the job not to be there.
	IfNoneMatch string
	// Key names the request. Sent again with the same key, to whichever node and
	// after whatever error, it is carried out once; another request with the key
	// fails with KeyReused. A node knows the last few keys of each job.
	Key string
	// Force is for Remove: the tasks are killed without being asked to end.
	Force bool
}

// Validate says what is wrong with the key, as an *Error.
func (o WriteOptions) Validate() error {
	printable := func(c rune) bool { return c >= ' ' && c <= '~' }
	if len(o.Key) > MaxKey || strings.ContainsFunc(o.Key, func(c rune) bool { return !printable(c) }) {
		return Errorf(Invalid, "the idempotency key is not 1 to %d printable ASCII characters", MaxKey).
			WithHint("a random UUID for each request will do")
	}
	return nil
}

// Meets says whether a job with this ETag, "" for none that is there, meets the
// conditions.
func (o WriteOptions) Meets(etag string) bool {
	return (o.IfMatch == "" || matches(o.IfMatch, etag)) && (o.IfNoneMatch == "" || !matches(o.IfNoneMatch, etag))
}

// matches says whether list names etag. A weak one is never the same.
func matches(list, etag string) bool {
	if etag == "" {
		return false
	}
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || one == etag || one == `"`+etag+`"` {
			return true
		}
	}
	return false
}
