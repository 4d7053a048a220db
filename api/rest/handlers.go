package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/exitae337/orchestergo/api"
)

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	return writeText(w, "ok\n")
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	err := s.cfg.Service.Ready(r.Context())
	var known *api.Error
	switch {
	case err == nil:
		return writeText(w, "ready\n")
	case errors.As(err, &known):
		return err
	}
	return api.Errorf(api.NotReady, "%s", err)
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) error {
	v, err := s.cfg.Service.Version(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, v)
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) error {
	read := s.cfg.Service.Job
	if which := r.URL.Query().Get("generation"); which != "" {
		read = func(ctx context.Context, name string) (api.Job, error) {
			return s.cfg.Service.Generation(ctx, name, which)
		}
	}
	job, err := read(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	setETag(w.Header(), job)
	return writeJSON(w, http.StatusOK, job)
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	list, err := s.cfg.Service.History(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeList(w, list)
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) error {
	return s.store(w, r, "", s.cfg.Service.Submit)
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) error {
	return s.store(w, r, r.PathValue("name"), s.cfg.Service.Put)
}

// store reads a job, which must have the name unless that is empty, and does with it
// what is asked, or says what would come of it.
func (s *Server) store(w http.ResponseWriter, r *http.Request, name string, do func(context.Context, api.Job, api.WriteOptions) (api.Written, error)) error {
	job, o, err := s.readJob(w, r, name)
	if err != nil {
		return err
	}
	switch dry, err := flag(r.URL.Query(), "dry_run"); {
	case err != nil:
		return err
	case dry:
		return s.plan(w, r, job, o)
	}
	wr, err := do(r.Context(), job, o)
	if err != nil {
		return err
	}
	return writeWritten(w, wr)
}

// plan answers a dry run, which a POST makes of creating a job and a PUT of putting it.
func (s *Server) plan(w http.ResponseWriter, r *http.Request, job api.Job, o api.WriteOptions) error {
	planned, err := s.cfg.Service.Plan(r.Context(), job, r.Method == http.MethodPost, o)
	if err != nil {
		return err
	}
	setETag(w.Header(), planned)
	return writeJSON(w, http.StatusOK, planned)
}

// readJob reads a job that can be stored, and the conditions beside it. If name is
// not empty, the job has no other.
func (s *Server) readJob(w http.ResponseWriter, r *http.Request, name string) (api.Job, api.WriteOptions, error) {
	job := api.NewJob()
	job.Name = name
	o, err := writeOptions(r)
	if err != nil {
		return job, o, err
	}
	err = s.nameVersion(r, readJSON(w, r, &job))
	job = job.Spec()
	if err != nil {
		return job, o, joinFaults(err, job.Validate())
	}
	if name != "" && job.Name != name {
		e := api.Errorf(api.Invalid, "the body is a job of another name than the path: %.80q, not %.80q", job.Name, name).
			WithHint("leave the name out of the body, or send it to the path of that job")
		e.Fields = []api.FieldError{{Pointer: "#/name", Detail: "must be that of the path, or left out"}}
		return job, o, e
	}
	return job, o, job.Validate()
}

// nameVersion says in a refusal of a field what version does not know it: the
// other nodes may be newer.
func (s *Server) nameVersion(r *http.Request, err error) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.UnknownField {
		return err
	}
	v, failed := s.cfg.Service.Version(r.Context())
	if failed != nil {
		return err
	}
	return e.WithHint("this node runs orch %s", v.Version)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	o, err := writeOptions(r)
	if err != nil {
		return err
	}
	if o.Force, err = flag(r.URL.Query(), "force"); err != nil {
		return err
	}
	wr, err := s.cfg.Service.Remove(r.Context(), r.PathValue("name"), o)
	if err != nil {
		return err
	}
	return writeWritten(w, wr)
}

// scaling is the body that sets the number of replicas.
type scaling struct {
	Replicas *int `json:"replicas"`
}

func (s *Server) scale(w http.ResponseWriter, r *http.Request) error {
	var body scaling
	if err := readJSON(w, r, &body); err != nil {
		return s.nameVersion(r, err)
	}
	if n := body.Replicas; n == nil || *n < 0 || *n > api.MaxReplicas {
		e := api.Errorf(api.Invalid, "the scaling is not valid")
		e.Fields = []api.FieldError{{Pointer: "#/replicas", Detail: fmt.Sprintf("is needed, from 0 to %d", api.MaxReplicas)}}
		return e
	}
	o, err := writeOptions(r)
	if err != nil {
		return err
	}
	wr, err := s.cfg.Service.Scale(r.Context(), r.PathValue("name"), *body.Replicas, o)
	if err != nil {
		return err
	}
	return writeWritten(w, wr)
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	return s.jobAction(w, r, s.cfg.Service.Stop)
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request) error {
	return s.jobAction(w, r, s.cfg.Service.Restart)
}

// jobAction does what takes nothing but the name of a job.
func (s *Server) jobAction(w http.ResponseWriter, r *http.Request, do func(context.Context, string, api.WriteOptions) (api.Written, error)) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	o, err := writeOptions(r)
	if err != nil {
		return err
	}
	wr, err := do(r.Context(), r.PathValue("name"), o)
	if err != nil {
		return err
	}
	return writeWritten(w, wr)
}

func (s *Server) tasks(w http.ResponseWriter, r *http.Request) error {
	f, err := taskFilter(r)
	if err != nil {
		return err
	}
	tasks, err := s.cfg.Service.Tasks(r.Context(), f)
	if err != nil {
		return err
	}
	return writeList(w, tasks)
}

// tasksOfJob is tasks for a job that must be there: no tasks and no job are told
// apart.
func (s *Server) tasksOfJob(w http.ResponseWriter, r *http.Request) error {
	f, err := taskFilter(r)
	if err != nil {
		return err
	}
	job, err := s.cfg.Service.Job(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	f.Job = job.Name
	tasks, err := s.cfg.Service.Tasks(r.Context(), f)
	if err != nil {
		return err
	}
	return writeList(w, tasks)
}

func (s *Server) task(w http.ResponseWriter, r *http.Request) error {
	task, err := s.cfg.Service.Task(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, task)
}

func (s *Server) node(w http.ResponseWriter, r *http.Request) error {
	node, err := s.cfg.Service.Node(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, node)
}

func (s *Server) removeNode(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	node, err := s.cfg.Service.RemoveNode(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, node)
}

func (s *Server) drainNode(w http.ResponseWriter, r *http.Request) error {
	return s.nodeAction(w, r, http.StatusAccepted, s.cfg.Service.DrainNode)
}

func (s *Server) cordonNode(w http.ResponseWriter, r *http.Request) error {
	return s.nodeAction(w, r, http.StatusOK, s.cfg.Service.CordonNode)
}

func (s *Server) resumeNode(w http.ResponseWriter, r *http.Request) error {
	return s.nodeAction(w, r, http.StatusOK, s.cfg.Service.ResumeNode)
}

func (s *Server) labelNode(w http.ResponseWriter, r *http.Request) error {
	var change api.LabelChange
	if err := readJSON(w, r, &change); err != nil {
		return err
	}
	node, err := s.cfg.Service.LabelNode(r.Context(), r.PathValue("id"), change)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, node)
}

// nodeAction does what takes a node's name and changes or begins something there.
func (s *Server) nodeAction(w http.ResponseWriter, r *http.Request, status int, do func(context.Context, string) (api.Node, error)) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	node, err := do(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, status, node)
}

// leaving is the body of a leave.
type leaving struct {
	Force bool `json:"force"`
}

func (s *Server) leave(w http.ResponseWriter, r *http.Request) error {
	var body leaving
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if err := s.cfg.Service.Leave(r.Context(), body.Force); err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, body)
}
