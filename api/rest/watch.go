package rest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const pathWait = "/v1/jobs/{name}/wait"

// Limits of how long one request may wait for a change.
const (
	defaultWait = time.Minute
	maxWait     = 5 * time.Minute
)

// withWait gives the reads that can wait for a change the parameter that says so.
func withWait(list []route) []route {
	for i, rt := range list {
		switch rt.path {
		case pathJobs, pathJob, pathOfJob, pathTasks, pathTask, pathNodes, pathNode:
			if rt.method == http.MethodGet {
				list[i].query = append(slices.Clone(rt.query), "wait")
			}
		}
	}
	return list
}

// headerRevision names the state of what this node sees that an answer shows:
// "<boot>-<n>". Where the answer has no ETag of its own, as a job has, it is that.
const headerRevision = "Orch-Revision"

// watch answers a read that can wait for a change: with If-None-Match and ?wait it
// blocks until the answer is another than the one known, and is 304 if it stays
// the same for so long. A job's own ETag waits for another version of the job; its
// Orch-Revision, for anything that is shown of it.
func (s *Server) watch(rt route, w http.ResponseWriter, r *http.Request) error {
	wait, err := duration(r.URL.Query(), "wait", 0)
	if err != nil {
		return err
	}
	if s.cfg.Revision == nil {
		return rt.handle(s, w, r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	job, known, last := jobAsked(r), etags(r), ""
	if r.URL.Query().Has("generation") {
		known = nil // what it was does not change
	}
	for {
		last = s.cfg.Revision(ctx, job, last)
		tag, same := quoted(last), known == nil
		if !same {
			if tag, same, err = s.sameAs(r, known, last); err != nil {
				return err
			}
		}
		w.Header().Set("ETag", tag)
		w.Header().Set(headerRevision, quoted(last))
		switch {
		case known == nil || !same:
			return rt.handle(s, w, r)
		case ctx.Err() != nil:
			w.WriteHeader(http.StatusNotModified)
			return nil
		case slices.Contains(known, "*"):
			known = []string{tag}
		}
	}
}

// sameAs says whether the answer at a revision is one of those known, and its ETag.
func (s *Server) sameAs(r *http.Request, known []string, revision string) (tag string, same bool, err error) {
	tag = quoted(revision)
	same = slices.Contains(known, tag) || slices.Contains(known, "*")
	if r.Pattern != pathJob {
		return tag, same, nil
	}
	job, err := s.cfg.Service.Job(r.Context(), r.PathValue("name"))
	if err != nil {
		return "", false, err
	}
	tag = quoted(job.ETag)
	return tag, same || slices.Contains(known, tag), nil
}

// jobAsked is the job that a request is about, or "" for more than one.
func jobAsked(r *http.Request) string {
	switch r.Pattern {
	case pathJob, pathOfJob:
		return r.PathValue("name")
	case pathTask:
		id, _ := api.ParseTaskID(r.PathValue("id"))
		return id.Job
	}
	return r.URL.Query().Get("job")
}

// etags are those of If-None-Match, or nil. Weak or strong makes no difference there.
func etags(r *http.Request) []string {
	var list []string
	for one := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one != "" {
			list = append(list, one)
		}
	}
	return list
}

// duration reads a time to wait: "30s", or a number of seconds. One that is longer
// than allowed is cut.
func duration(q url.Values, key string, otherwise time.Duration) (time.Duration, error) {
	text := q.Get(key)
	if !q.Has(key) {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if n, bad := strconv.ParseUint(text, 10, 31); bad == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return 0, api.Errorf(api.BadQuery, "%s=%.40q is not a time to wait", key, text).WithHint("write 30s, 2m, or a number of seconds")
	}
	return min(d, maxWait), nil
}

// A waited is a job and whether it is what somebody waited for.
type waited struct {
	*api.Job
	Reached bool `json:"reached"` // it is as asked; else the time ran out first
}

// waitJob waits for a job to become what is asked.
func (s *Server) waitJob(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	goal := api.Goal(q.Get("for"))
	if !q.Has("for") {
		goal = api.GoalRunning
	}
	if !slices.Contains(api.Goals(), goal) {
		return api.Errorf(api.BadQuery, "for=%.40q is nothing to wait for", string(goal)).WithHint("wait for running, complete or gone")
	}
	timeout, err := duration(q, "timeout", defaultWait)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	job, reached, err := s.cfg.Service.WaitJob(ctx, r.PathValue("name"), goal)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, waited{&job, reached})
}
