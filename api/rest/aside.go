package rest

import (
	"context"
	"net/http"

	"github.com/exitae337/orchestergo/api"
)

// What nodes have set aside, on both ends.

func (s *Server) asides(w http.ResponseWriter, r *http.Request) error {
	list, err := s.cfg.Service.NodeAsides(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeList(w, list)
}

func (s *Server) restore(w http.ResponseWriter, r *http.Request) error {
	var body api.Restoring
	if err := readJSON(w, r, &body); err != nil {
		return s.nameVersion(r, err)
	}
	if err := body.Validate(); err != nil {
		return err
	}
	o, err := writeOptions(r)
	if err != nil {
		return err
	}
	wr, err := s.cfg.Service.Restore(r.Context(), r.PathValue("id"), body, o)
	if err != nil {
		return err
	}
	return writeWritten(w, wr)
}

// NodeAsides implements api.Service.
func (c *Client) NodeAsides(ctx context.Context, node string) ([]api.Aside, error) {
	return get[[]api.Aside](ctx, c, fill(pathAside, node))
}

// AsidePath is where that is which a node has set aside.
func AsidePath(node api.NodeID) string { return fill(pathAside, string(node)) }

// Restore implements api.Service.
func (c *Client) Restore(ctx context.Context, node string, r api.Restoring, o api.WriteOptions) (api.Written, error) {
	return c.write(ctx, call{method: http.MethodPost, path: fill(pathRestore, node), body: r}, o)
}
