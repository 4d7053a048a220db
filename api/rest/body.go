package rest

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	maxBody  = 1 << 20  // bytes of a request body
	maxDrain = 16 << 20 // bytes read of a body that is too large, before saying so
)

// readBody reads a whole body within its limits of size and time. One that is
// too large is read on for a while: a client that is cut off while it sends sees
// a broken connection and not the answer.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in tests has none
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, api.Errorf(api.BadRequest, "the body did not arrive whole: %s", err)
	}
	if len(body) > maxBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		return nil, api.Errorf(api.TooLarge, "the body is over the limit of %d bytes", maxBody)
	}
	return body, nil
}

// readJSON decodes the body of r into v, as [decoder] does.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return api.Errorf(api.BadRequest, "the body is empty; a JSON object is needed")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		w.Header().Set("Accept", "application/json")
		return api.Errorf(api.WrongMedia, "the body is said to be %.80q, not application/json", r.Header.Get("Content-Type")).
			WithHint("send the header Content-Type: application/json")
	}
	return decode(body, v)
}

// readNothing makes sure that a body which would be ignored is not there.
func readNothing(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if text := bytes.TrimSpace(body); len(text) > 0 && string(text) != "{}" {
		return api.Errorf(api.BadRequest, "%s %s takes no body", r.Method, r.URL.Path)
	}
	return nil
}
