package peer_test

import (
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/peer"
)

// What gossip says of a driver has little room, and stays text.
func TestShortened(t *testing.T) {
	for _, tt := range []struct {
		s    string
		most int
		want string
	}{
		{"", 0, ""},
		{"it hangs", 8, "it hangs"},
		{"it hangs", 7, "it h…"},
		{"été", 4, "…"},
		{"été", 2, ""},
		{"été", -1, ""},
		{strings.Repeat("é", 9), 12, "éééé…"},
	} {
		if got := peer.Shortened(tt.s, tt.most); got != tt.want {
			t.Errorf("shortened(%q, %d) = %q, want %q", tt.s, tt.most, got, tt.want)
		}
	}
}
