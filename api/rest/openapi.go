package rest

import (
	_ "embed"
	"net/http"
)

// document describes the API to programs, as OpenAPI 3.0. It is written by
// TestOpenAPI, from the table of routes and the types of package api.
//
//go:embed openapi.json
var document []byte

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	return send(w, mediaJSON, http.StatusOK, document)
}
