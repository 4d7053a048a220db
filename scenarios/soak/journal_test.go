package soak

import (
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// said is a job as a node says it.
func said(life, version, replicas int, spec string) *api.Job {
	j := api.NewJob()
	j.Name, j.ID, j.Generation = "web-1", fmt.Sprintf("web-1-%d", life), uint64(version)
	j.ETag, j.Replicas = fmt.Sprintf("%d-%d-%s", life, version, spec), replicas
	j.Env[specVar] = spec
	return &j
}

// as is the claim of a request that was acknowledged with that job.
func as(j *api.Job) claim { return claimOf(j) }

// unsure is the claim of a request without an answer.
func unsure(j *api.Job) claim {
	c := claimOf(j)
	c.etag = ""
	return c
}

func TestJournal(t *testing.T) {
	v1, v2, v2other, v3 := said(1000, 1, 2, "a"), said(1000, 2, 3, "a"), said(1000, 2, 4, "b"), said(1000, 3, 1, "a")
	again := said(2000, 1, 2, "c")
	gone := claim{want: want{gone: true}, life: 1000, version: 3}
	create := unsure(again)
	create.life = 0
	tests := map[string]struct {
		do      func(*journal)
		ok, bad []*api.Job // nil is a job that is not there
	}{
		"nothing was asked": {func(*journal) {}, []*api.Job{nil}, []*api.Job{v1}},
		"acknowledged": {func(jn *journal) { jn.acknowledged("web-1", as(v1), true, time.Now()) },
			[]*api.Job{v1}, []*api.Job{nil, v2}},
		"the first of two is not enough": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.acknowledged("web-1", as(v2), true, time.Now())
		}, []*api.Job{v2}, []*api.Job{nil, v1, v2other}},
		"no answer: either": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.doubted("web-1", unsure(v2))
		}, []*api.Job{v1, v2}, []*api.Job{nil, v2other}},
		"no answer: but not what it was before": {func(jn *journal) {
			jn.acknowledged("web-1", as(said(1000, 1, 3, "a")), true, time.Now())
			jn.acknowledged("web-1", as(said(1000, 2, 2, "a")), true, time.Now())
			jn.doubted("web-1", unsure(said(1000, 3, 3, "a")))
		}, []*api.Job{said(1000, 2, 2, "a"), said(1000, 3, 3, "a")}, []*api.Job{nil, said(1000, 1, 3, "a")}},
		"the same version may win": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.doubted("web-1", unsure(v2))
			jn.acknowledged("web-1", as(v2other), true, time.Now())
		}, []*api.Job{v2, v2other}, []*api.Job{nil, v1}},
		"an older version loses": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.doubted("web-1", unsure(v2))
			jn.acknowledged("web-1", as(v3), true, time.Now())
		}, []*api.Job{v3}, []*api.Job{nil, v1, v2}},
		"removed": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.doubted("web-1", unsure(v2))
			jn.acknowledged("web-1", gone, true, time.Now())
		}, []*api.Job{nil}, []*api.Job{v1, v2}},
		"a removal without an answer holds for its life": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.doubted("web-1", gone)
			jn.acknowledged("web-1", as(v3), true, time.Now())
		}, []*api.Job{nil, v3}, []*api.Job{v1}},
		"and not for the next": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.doubted("web-1", gone)
			jn.acknowledged("web-1", gone, true, time.Now())
			jn.acknowledged("web-1", as(again), true, time.Now())
		}, []*api.Job{again}, []*api.Job{nil, v1}},
		"a creation without an answer may come late": {func(jn *journal) {
			jn.doubted("web-1", create)
			jn.acknowledged("web-1", as(v1), true, time.Now())
		}, []*api.Job{v1, again}, []*api.Job{nil}},
		"and once it is seen it has its place": {func(jn *journal) {
			jn.doubted("web-1", create)
			jn.seen("web-1", again)
			jn.acknowledged("web-1", as(said(2000, 2, 5, "c")), true, time.Now())
		}, []*api.Job{said(2000, 2, 5, "c")}, []*api.Job{nil, again}},
		"on too few disks, none of which was lost": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.acknowledged("web-1", as(v2), false, time.Now())
		}, []*api.Job{v2}, []*api.Job{nil, v1}},
		"on too few disks, and one was lost": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.acknowledged("web-1", as(v2), false, time.Now())
			jn.acknowledged("web-1", as(v3), false, time.Now())
			jn.destroyed()
		}, []*api.Job{v1, v2, v3}, []*api.Job{nil}},
		"on enough disks by the time one was lost": {func(jn *journal) {
			jn.acknowledged("web-1", as(v1), true, time.Now())
			jn.acknowledged("web-1", as(v2), false, time.Now())
			jn.spread(time.Now().Add(time.Hour))
			jn.destroyed()
		}, []*api.Job{v2}, []*api.Job{nil, v1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			jn := newJournal([]string{"web-1"})
			tt.do(jn)
			for _, j := range tt.ok {
				if err := jn.judge("web-1", j); err != nil {
					t.Errorf("%v, want that to be right", err)
				}
			}
			for _, j := range tt.bad {
				if err := jn.judge("web-1", j); err == nil {
					t.Errorf("%s is said to be right; it may be %v", wantOf(j), jn.may("web-1"))
				}
			}
		})
	}
	if err := newJournal(nil).judge("web-1", v1); err == nil {
		t.Error("a job that nobody asked for is said to be right")
	}
}
