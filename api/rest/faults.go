package rest

import (
	"errors"
	"slices"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// joinFaults is err, the refusal of a body, with the faults of values from more, so
// that who wrote the body learns of all at once. What err says of a place, or of
// something around or within it, stands for all that is wrong there.
func joinFaults(err, more error) error {
	var first, second *api.Error
	if !errors.As(err, &first) || len(first.Fields) == 0 || !errors.As(more, &second) {
		return err
	}
	all := *first
	all.Fields = slices.Clone(first.Fields)
	for _, f := range second.Fields {
		if !slices.ContainsFunc(first.Fields, func(g api.FieldError) bool { return nested(f.Pointer, g.Pointer) }) {
			all.Fields = append(all.Fields, f)
		}
	}
	if first.Code == api.NotSupported && second.Code == api.Invalid {
		all.Code, all.Detail = second.Code, second.Detail
	}
	all.Fields = all.Fields[:min(len(all.Fields), maxFaults)]
	return &all
}

// nested says whether one of two JSON pointers leads to a part of what the other does.
func nested(a, b string) bool {
	return strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/")
}
