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

func (s *Server) jobs(w http.ResponseWriter, r *http.Request) error {
	jobs, err := s.cfg.Service.Jobs(r.Context())
	if err != nil {
		return err
	}
	return writeList(w, jobs)
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) error {
	job, err := s.cfg.Service.Job(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	setETag(w.Header(), job)
	return writeJSON(w, http.StatusOK, job)
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) error {
	job := api.NewJob()
	if err := readJSON(w, r, &job); err != nil {
		return s.nameVersion(r, err)
	}
	job = job.Spec()
	if err := job.Validate(); err != nil {
		return err
	}
	wr, err := s.cfg.Service.Submit(r.Context(), job)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fill(pathJob, wr.Job.Name))
	status := http.StatusCreated
	if wr.Existed {
		status = http.StatusOK
	}
	return writeWritten(w, status, wr)
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
	wr, err := s.cfg.Service.Remove(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeWritten(w, http.StatusOK, wr)
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
	wr, err := s.cfg.Service.Scale(r.Context(), r.PathValue("name"), *body.Replicas)
	if err != nil {
		return err
	}
	return writeWritten(w, http.StatusOK, wr)
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	wr, err := s.cfg.Service.Stop(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeWritten(w, http.StatusOK, wr)
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	wr, err := s.cfg.Service.Restart(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeWritten(w, http.StatusOK, wr)
}

// writeWritten answers a write with status or, when it is not yet as safe as
// promised, with 202.
func writeWritten(w http.ResponseWriter, status int, wr api.Written) error {
	setWritten(w.Header(), wr)
	if !wr.Durable() {
		status = http.StatusAccepted
	}
	return writeJSON(w, status, wr.Job)
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

func (s *Server) auction(w http.ResponseWriter, r *http.Request) error {
	sheet, err := s.cfg.Service.Auction(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, sheet)
}

func (s *Server) nodes(w http.ResponseWriter, r *http.Request) error {
	nodes, err := s.cfg.Service.Nodes(r.Context())
	if err != nil {
		return err
	}
	return writeList(w, nodes)
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
	return s.nodeAction(w, r, s.cfg.Service.DrainNode)
}

func (s *Server) resumeNode(w http.ResponseWriter, r *http.Request) error {
	return s.nodeAction(w, r, s.cfg.Service.ResumeNode)
}

// nodeAction does what takes a node's name and begins something there.
func (s *Server) nodeAction(w http.ResponseWriter, r *http.Request, do func(context.Context, string) (api.Node, error)) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	node, err := do(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, node)
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
