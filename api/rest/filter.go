package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// A jobFilter says which jobs of a list are wanted. Zero fields select all.
type jobFilter struct {
	kind   api.JobType
	status api.JobState
	labels []label
	after  string // names up to this one are left out
	limit  int
}

// readJobFilter reads what jobs are wanted.
func readJobFilter(q url.Values) (f jobFilter, err error) {
	if f.kind, err = oneOf(q, "type", api.ServiceJob, api.BatchJob, api.GlobalJob); err != nil {
		return f, err
	}
	if f.status, err = oneOf(q, "status", api.JobPending, api.JobRunning, api.JobDegraded, api.JobUpdating,
		api.JobComplete, api.JobFailed, api.JobStopped, api.JobRemoving); err != nil {
		return f, err
	}
	if f.labels, err = readLabels(q); err != nil {
		return f, err
	}
	if q.Get("project") != "" {
		f.labels = append(f.labels, label{api.LabelProject, q.Get("project"), true})
	}
	f.after = q.Get("after")
	if q.Has("limit") {
		if f.limit, err = strconv.Atoi(q.Get("limit")); err != nil || f.limit < 1 {
			return f, api.Errorf(api.BadQuery, "limit=%.40q is not a number of jobs from 1", q.Get("limit"))
		}
	}
	return f, nil
}

// pick is the wanted part of jobs, which are sorted by name, and whether there is
// more after it.
func (f jobFilter) pick(jobs []api.Job) (page []api.Job, more bool) {
	for _, j := range jobs {
		wanted := j.Name > f.after && (f.kind == "" || j.Type == f.kind) && matchesAll(f.labels, j.Labels) &&
			(f.status == "" || j.Status != nil && j.Status.State == f.status)
		if !wanted {
			continue
		}
		if f.limit > 0 && len(page) == f.limit {
			return page, true
		}
		page = append(page, j)
	}
	return page, false
}

// nextPage is the header Link to the page after the one that ends with last.
func nextPage(path string, q url.Values, last string) string {
	q.Set("after", last)
	return "<" + withQuery(path, q) + `>; rel="next"`
}

// A nodeFilter says which nodes of a list are wanted. Zero fields select all.
type nodeFilter struct {
	status api.NodeStatus
	labels []label
}

// readNodeFilter reads what nodes are wanted.
func readNodeFilter(q url.Values) (f nodeFilter, err error) {
	if f.status, err = oneOf(q, "status", api.NodeStarting, api.NodeReady, api.NodeRestarting, api.NodeDraining,
		api.NodeDrained, api.NodeFailed, api.NodeLeft); err != nil {
		return f, err
	}
	f.labels, err = readLabels(q)
	return f, err
}

func (f nodeFilter) pick(nodes []api.Node) []api.Node {
	return slices.DeleteFunc(nodes, func(n api.Node) bool {
		return f.status != "" && n.Status != f.status || !matchesAll(f.labels, n.Labels)
	})
}

// A label that is wanted.
type label struct {
	key, value string
	exact      bool // else any value will do
}

// readLabels reads the parameter label, which may be given several times.
func readLabels(q url.Values) ([]label, error) {
	var all []label
	for _, text := range q["label"] {
		key, value, err := api.ParseLabel(text)
		if err != nil {
			return nil, api.Errorf(api.BadQuery, "label=%.80q: %s", text, err).WithHint("write label=KEY or label=KEY=VALUE")
		}
		all = append(all, label{key, value, strings.Contains(text, "=")})
	}
	return all, nil
}

func matchesAll(wanted []label, has map[string]string) bool {
	for _, l := range wanted {
		if value, ok := has[l.key]; !ok || l.exact && value != l.value {
			return false
		}
	}
	return true
}

// oneOf reads a parameter that has one of some values, or none.
func oneOf[T ~string](q url.Values, key string, values ...T) (T, error) {
	value := T(q.Get(key))
	if value == "" || slices.Contains(values, value) {
		return value, nil
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return "", api.Errorf(api.BadQuery, "%s=%.40q is none that there is%s", key, string(value), didYouMean(string(value), names)).
		WithHint("write one of %s", strings.Join(names, ", "))
}

func (s *Server) jobs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f, err := readJobFilter(q)
	if err != nil {
		return err
	}
	jobs, err := s.cfg.Service.Jobs(r.Context())
	if err != nil {
		return err
	}
	page, more := f.pick(jobs)
	if more {
		w.Header().Set("Link", nextPage(pathJobs, q, page[len(page)-1].Name))
	}
	return writeList(w, page)
}

func (s *Server) nodes(w http.ResponseWriter, r *http.Request) error {
	f, err := readNodeFilter(r.URL.Query())
	if err != nil {
		return err
	}
	nodes, err := s.cfg.Service.Nodes(r.Context())
	if err != nil {
		return err
	}
	return writeList(w, f.pick(nodes))
}
