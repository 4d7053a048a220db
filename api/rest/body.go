package rest

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	maxBody  = 1 << 20  // bytes of a request body
	maxDrain = 32 << 20 // bytes read of a body that is not wanted, before saying so
)

// readBody reads a whole body within its limits of size and time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody && r.Header.Get("Expect") != "" {
		return nil, tooLarge()
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in tests has none
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, api.Errorf(api.BadRequest, "the body did not arrive whole: %s", err)
	}
	if len(body) > maxBody {
		return nil, tooLarge()
	}
	return body, nil
}

// drain reads what a refused request still sends, for a while: a client that is cut
// off while it sends sees a broken connection and not the answer. One that asks
// before it sends has not begun.
func drain(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in tests has none
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)       // whatever comes of it, the answer is the same
	_ = rc.SetReadDeadline(time.Time{})
}

func tooLarge() *api.Error {
	return api.Errorf(api.TooLarge, "the body is over the limit of %d bytes", maxBody)
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
	if err := checkMedia(r); err != nil {
		w.Header().Set("Accept", mediaJSON)
		return err
	}
	return decode(body, v)
}

// checkMedia wants the body to be said to be JSON as it is: a web page cannot say so
// of what it sends to another origin.
func checkMedia(r *http.Request) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || media != mediaJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return api.Errorf(api.WrongMedia, "the body is said to be %.80q, not application/json", r.Header.Get("Content-Type")).
			WithHint("send the header Content-Type: application/json")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return api.Errorf(api.WrongMedia, "the body is said to be coded as %.80q, and is read as it is", coding).
			WithHint("send it plain, without the header Content-Encoding")
	}
	return nil
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
