package gossip_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/gossip"
)

func TestNewest(t *testing.T) {
	tests := []struct {
		name string
		in   []gossip.Member
		want string
	}{
		{"the last started of two alive", []gossip.Member{
			{ID: "a", Boot: "1", Started: 1, Status: gossip.MemberAlive}, {ID: "a", Boot: "2", Started: 2, Status: gossip.MemberAlive}}, "2"},
		{"alive before dead", []gossip.Member{
			{ID: "a", Boot: "1", Started: 1, Status: gossip.MemberAlive}, {ID: "a", Boot: "2", Started: 2, Status: gossip.MemberFailed}}, "1"},
		{"the last started of two dead", []gossip.Member{
			{ID: "a", Boot: "2", Started: 2, Status: gossip.MemberFailed}, {ID: "a", Boot: "1", Started: 1, Status: gossip.MemberLeft}}, "2"},
	}
	for _, tt := range tests {
		if got := gossip.Newest(tt.in)["a"].Boot; got != tt.want {
			t.Errorf("%s: got boot %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNewestDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) gossip.Member {
			return gossip.Member{
				ID: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"), Boot: rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "boot"),
				Started: rapid.Int64Range(0, 2).Draw(t, "started"),
				Status:  rapid.SampledFrom([]gossip.MemberStatus{gossip.MemberAlive, gossip.MemberFailed, gossip.MemberLeft}).Draw(t, "status"),
			}
		}), func(m gossip.Member) string { return m.ID + m.Boot }).Draw(t, "members")
		want := gossip.Newest(members)
		got := gossip.Newest(rapid.Permutation(members).Draw(t, "shuffled"))
		for id := range want {
			if got[id].Boot != want[id].Boot {
				t.Fatalf("got boot %s of %s, want %s", got[id].Boot, id, want[id].Boot)
			}
		}
	})
}
