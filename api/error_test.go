package api_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func TestErrors(t *testing.T) {
	e := api.Errorf(api.Invalid, "the job %s is not valid", "web")
	e.Fields = []api.FieldError{{"#/name", "too long"}, {"#/ports/0/target", "missing"}}
	if got, want := e.Error(), "the job web is not valid: name: too long; ports/0/target: missing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h := e.WithHint("try %d", 5)
	if h.Hint != "try 5" || e.Hint != "" || h.Code != e.Code || h.Error() != e.Error() {
		t.Errorf("WithHint: got %+v of %+v", h, e)
	}
	for want, err := range map[api.Code]error{"": nil, api.Invalid: fmt.Errorf("submit: %w", e), api.Internal: io.EOF,
		api.NotReady: errors.Join(io.EOF, api.Errorf(api.NotReady, "x"))} {
		if got := api.CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %q, want %q", err, got, want)
		}
	}
}

func TestDurable(t *testing.T) {
	for disks, want := range map[[2]int]bool{{3, 3}: true, {1, 1}: true, {1, 3}: false, {4, 3}: true} {
		wr := api.Written{Disks: disks[0], Wanted: disks[1]}
		if got := wr.Durable(); got != want {
			t.Errorf("%d of %d: got %v, want %v", wr.Disks, wr.Wanted, got, want)
		}
	}
}
