package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"
)

// writeJSON answers with v. A nil list becomes an empty one.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	return writeBody(w, mediaJSON, status, v)
}

func writeList[T any](w http.ResponseWriter, list []T) error {
	if list == nil {
		list = []T{}
	}
	return writeJSON(w, http.StatusOK, list)
}

// writeBody encodes before anything is sent, so that a fault can still be told.
func writeBody(w http.ResponseWriter, media string, status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return send(w, media, status, b.Bytes())
}

func writeText(w http.ResponseWriter, text string) error {
	return send(w, mediaText, http.StatusOK, []byte(text))
}

// send writes a whole answer. That a client does not take it is no error: there
// is nobody to tell.
func send(w http.ResponseWriter, media string, status int, body []byte) error {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder in tests has none
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// An answer remembers the status that was sent, 0 for none yet.
type answer struct {
	http.ResponseWriter
	status int
	route  string // whose path it is of; "" for none
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets an http.ResponseController find the deadlines and Flush.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// httpLog takes what http.Server has to say of bad connections.
type httpLog struct{ to logrus.FieldLogger }

func (l httpLog) Write(b []byte) (int, error) {
	l.to.Debug(string(bytes.TrimSpace(b)))
	return len(b), nil
}
