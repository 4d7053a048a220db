package rest

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	mediaLines = "application/x-ndjson" // one JSON object a line
	mediaText  = "text/plain; charset=utf-8"
)

// endGrace is what a stream that is being ended has to write its last line, if
// its reader does not take what it is sent.
const endGrace = time.Second

// A logEntry is one line of the JSON form of logs: a log line or, as the last
// one, why there is no more.
type logEntry struct {
	*api.LogLine
	*logFault
}

// logFault is an error that came up after the answer had begun with a 200.
type logFault struct {
	Error string   `json:"error"`
	Code  api.Code `json:"code"`
	Hint  string   `json:"hint,omitempty"`
}

// logs streams what a task writes. The status is sent with the first line, so an
// error before that is a problem like any other. Later the JSON form ends with
// the error; the raw form has no place for one and is cut off.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) error {
	opts, err := logOptions(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	out := lineWriter{w: w, rc: http.NewResponseController(w), json: acceptsLines(r), flush: opts.Follow}
	if r.Method == http.MethodHead {
		if _, err := s.cfg.Service.Task(r.Context(), r.PathValue("id")); err != nil {
			return err
		}
		out.begin()
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	// A write that waits for a slow reader does not see ctx.
	defer context.AfterFunc(ctx, func() { _ = out.rc.SetWriteDeadline(time.Now().Add(endGrace)) })()

	err = s.cfg.Service.Logs(ctx, r.PathValue("id"), opts, out.line)
	if ctx.Err() != nil { // nobody is left to read this, or the node ends before the task
		err = api.Errorf(api.NotReady, "the node is shutting down")
	}
	if err != nil && (!out.begun || !out.json) {
		_ = out.end()
		return err
	}
	out.begin()
	if err != nil {
		e := asError(err)
		_ = out.entry(logEntry{logFault: &logFault{Error: e.Error(), Code: e.Code, Hint: e.Hint}})
	}
	return nil
}

// acceptsLines says whether JSON lines are asked for.
func acceptsLines(r *http.Request) bool {
	for one := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if media, _, err := mime.ParseMediaType(one); err == nil && media == mediaLines {
			return true
		}
	}
	return false
}

// A lineWriter writes log lines as they come.
type lineWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	json  bool
	flush bool // after each line; else as buffers fill
	begun bool
}

// begin sends the header, once.
func (o *lineWriter) begin() {
	if o.begun {
		return
	}
	o.begun = true
	media := mediaText
	if o.json {
		media = mediaLines
	}
	o.w.Header().Set("Content-Type", media)
	o.w.WriteHeader(http.StatusOK)
}

// end sends what waits in buffers, if anything was written.
func (o *lineWriter) end() error {
	if !o.begun {
		return nil
	}
	return o.rc.Flush()
}

// line writes l; its error says that the client is gone.
func (o *lineWriter) line(l api.LogLine) error {
	o.begin()
	if o.json {
		return o.entry(logEntry{LogLine: &l})
	}
	if !l.Partial {
		l.Line += "\n"
	}
	return o.write([]byte(l.Line))
}

func (o *lineWriter) entry(e logEntry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return o.write(append(b, '\n'))
}

func (o *lineWriter) write(b []byte) error {
	_, err := o.w.Write(b)
	if err == nil && o.flush {
		err = o.rc.Flush()
	}
	if errors.Is(err, http.ErrNotSupported) { // a recorder, or a wrapper without Flush: it comes at the end
		return nil
	}
	return err
}
