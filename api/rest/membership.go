package rest

import (
	"context"
	"net/http"

	"github.com/exitae337/orchestergo/api"
)

// The cluster as a whole, on both ends.

func (s *Server) cluster(w http.ResponseWriter, r *http.Request) error {
	c, err := s.cfg.Service.Cluster(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, c)
}

// join has its token in the body: a query would be seen in logs.
func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	var body api.Joining
	if err := readJSON(w, r, &body); err != nil {
		return s.nameVersion(r, err)
	}
	if err := body.Validate(); err != nil {
		return err
	}
	joined, err := s.cfg.Service.JoinCluster(r.Context(), body)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, joined)
}

func (s *Server) containers(w http.ResponseWriter, r *http.Request) error {
	list, err := s.cfg.Service.NodeContainers(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeList(w, list)
}

func (s *Server) digest(w http.ResponseWriter, r *http.Request) error {
	d, err := s.cfg.Service.NodeDigest(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

func (s *Server) nodeView(w http.ResponseWriter, r *http.Request) error {
	list, err := s.cfg.Service.NodeView(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeList(w, list)
}

// Cluster implements api.Service.
func (c *Client) Cluster(ctx context.Context) (api.Cluster, error) {
	return get[api.Cluster](ctx, c, pathCluster)
}

// JoinCluster implements api.Service.
func (c *Client) JoinCluster(ctx context.Context, j api.Joining) (api.Joined, error) {
	var joined api.Joined
	res, err := c.do(ctx, call{method: http.MethodPost, path: pathJoin, body: j})
	if err != nil {
		return joined, err
	}
	defer res.Body.Close()
	return joined, decodeAnswer(res, &joined)
}

// NodeContainers implements api.Service.
func (c *Client) NodeContainers(ctx context.Context, node string) ([]api.Container, error) {
	return get[[]api.Container](ctx, c, fill(pathHeld, node))
}

// NodeDigest implements api.Service.
func (c *Client) NodeDigest(ctx context.Context, node string) (api.Digest, error) {
	return get[api.Digest](ctx, c, fill(pathDigest, node))
}

// NodeView implements api.Service.
func (c *Client) NodeView(ctx context.Context, node string) ([]api.Node, error) {
	return get[[]api.Node](ctx, c, fill(pathView, node))
}
