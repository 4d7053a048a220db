package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/exitae337/orchestergo/api"
)

// keysKept is how many idempotency keys a job remembers. A retry comes within
// seconds, so that the last few do; they also outlive the job's removal.
const keysKept = 16

// UsedKey is an idempotency key in the record of the job that was changed with it,
// so that every node which has the change knows the key too.
type UsedKey struct {
	Key     string `json:"key"`     // a digest, whatever its length was
	Request string `json:"request"` // a digest of what was asked
}

// usedKey makes the entry for a request: what is asked of which job, and the body.
func usedKey(key, what, name string, body any) UsedKey {
	b, _ := json.Marshal([]any{what, name, body}) // plain values: cannot fail
	return UsedKey{Key: digest([]byte(key)), Request: digest(b)}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// remember appends a key and forgets the oldest.
func remember(keys []UsedKey, k UsedKey) []UsedKey {
	keys = append(slices.Clone(keys), k)
	return keys[max(0, len(keys)-keysKept):]
}

// hasKey says whether the job was changed by this request.
func (j *JobRecord) hasKey(k UsedKey) bool { return j != nil && slices.Contains(j.Keys, k) }

// done says whether the request was carried out before. A key that was used for
// another one, of whichever job, is refused.
func (x *index) done(name string, k UsedKey) (bool, error) {
	if x.jobs[name].hasKey(k) {
		return true, nil
	}
	for _, j := range x.jobs {
		if slices.ContainsFunc(j.Keys, func(u UsedKey) bool { return u.Key == k.Key }) {
			return false, api.Errorf(api.KeyReused, "the idempotency key was used for another request, which changed job %s", j.Spec.Name).
				WithHint("use a new key for every request; the same only to repeat one")
		}
	}
	return false, nil
}
