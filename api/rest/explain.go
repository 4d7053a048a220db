package rest

import (
	"net/http"
	"strconv"

	"github.com/exitae337/orchestergo/api"
)

// maxBack is how far back an auction may be asked for: more are never kept.
const maxBack = 10_000

func (s *Server) auction(w http.ResponseWriter, r *http.Request) error {
	back := 0
	if n := r.URL.Query().Get("n"); n != "" {
		var err error
		if back, err = strconv.Atoi(n); err != nil || back < 0 || back > maxBack {
			return api.Errorf(api.BadQuery, "n=%.40q is not a number from 0 to %d", n, maxBack)
		}
	}
	sheet, err := s.cfg.Service.Auction(r.Context(), r.PathValue("id"), back)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, sheet)
}

func (s *Server) explainJob(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if !api.ValidJobName(name) {
		return api.Errorf(api.JobNotFound, "no job is named %.80q", name)
	}
	return s.explain(w, r, name)
}

func (s *Server) explainTask(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if _, err := api.ParseTaskID(id); err != nil {
		return err
	}
	return s.explain(w, r, id)
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request, name string) error {
	e, err := s.cfg.Service.Explain(r.Context(), name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, e)
}

func (s *Server) restartTask(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(w, r); err != nil {
		return err
	}
	t, err := s.cfg.Service.RestartTask(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, t)
}
