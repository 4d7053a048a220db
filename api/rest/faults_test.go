package rest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

// TestAllFaultsAtOnce has faults of several kinds in one body.
func TestAllFaultsAtOnce(t *testing.T) {
	for _, tt := range []struct {
		body string
		code api.Code
		at   string // pointers, in order
	}{
		{`{"name":"../x","image":"x","replicas":"3","pull":"maybe"}`, api.BadRequest, "#/replicas #/name #/pull"},
		{`{"name":"web","image":"x","replcas":3,"max_parallel":0}`, api.UnknownField, "#/replcas #/max_parallel"},
		{`{"name":"web","image":7,"zzz":1,"health":{},"pull":"x"}`, api.BadRequest, "#/health #/image #/zzz #/pull"},
		{`{"name":"web","driver":"process","command":["",1]}`, api.BadRequest, "#/command/1"},
		{`{"name":"web","image":"x","health":{},"replicas":-1}`, api.Invalid, "#/health #/replicas"},
		{`{"name":"web","image":"x","health":{}}`, api.NotSupported, "#/health"},
		{`{"name":"web","image":"x","env":{"A":1,"B=":"x"}}`, api.BadRequest, "#/env/A #/env/B="},
		{`{"name":"web","image":"x","ports":"80","labels":{" ":""}}`, api.BadRequest, "#/ports #/labels/%20"},
		{`[]`, api.BadRequest, "#"},
		{`{`, api.BadRequest, ""},
	} {
		_, rec := post(tt.body)
		var p problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		var at []string
		for _, e := range p.Errors {
			at = append(at, e.Pointer)
		}
		equal(t, "code of "+tt.body, p.Code, string(tt.code))
		equal(t, "faults of "+tt.body, strings.Join(at, " "), tt.at)
	}
}
