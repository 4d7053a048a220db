package bidding

import "time"

// The bounds of [Backoff].
const (
	BackoffMin = time.Second
	BackoffMax = 5 * time.Minute
)

// Backoff is how long to wait before the n-th try in a row that follows a
// failure: a second, doubled with each, at most five minutes, times a factor from
// 1/2 up to 1 that u, a random number in [0,1), chooses. So tries of many slots
// that failed together spread out, and none waits longer than the bound. It is 0
// when n is not positive.
func Backoff(n int, u float64) time.Duration {
	if n <= 0 {
		return 0
	}
	d := BackoffMax
	if n < 10 { // beyond, the bound is passed
		d = min(d, BackoffMin<<(n-1))
	}
	return time.Duration(float64(d) * (0.5 + max(0, min(1, u))/2))
}
