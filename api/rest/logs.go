package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	mediaLines = "application/x-ndjson" // one JSON object a line
	mediaText  = "text/plain; charset=utf-8"
	mediaJSON  = "application/json"
)

const (
	// endGrace is what a stream that is being ended has to write its last line, if
	// its reader does not take what it is sent.
	endGrace = time.Second
	// beatEvery is how often a stream that has nothing to say shows that it lives.
	beatEvery = 15 * time.Second
	// maxNames is how many jobs and tasks one request of logs may name.
	maxNames = 100
)

// logFaults is the trailer of the text form that says whose lines are missing: a
// line of text for that would look like one that a task wrote.
const logFaults = "Orch-Log-Faults"

func (s *Server) taskLogs(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if _, err := api.ParseTaskID(id); err != nil {
		return err
	}
	return s.logs(w, r, []string{id})
}

func (s *Server) jobLogs(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if !api.ValidJobName(name) {
		return api.Errorf(api.JobNotFound, "no job is named %.80q", name)
	}
	return s.logs(w, r, []string{name})
}

func (s *Server) namedLogs(w http.ResponseWriter, r *http.Request) error {
	names := strings.Split(r.URL.Query().Get("name"), ",")
	if names[0] == "" || len(names) > maxNames {
		return api.Errorf(api.BadQuery, "name= has to name 1 to %d jobs and tasks: web,db.0", maxNames)
	}
	return s.logs(w, r, names)
}

// logs streams what tasks write. The status is sent with the first line, so an
// error before that is a problem like any other. Later the JSON form ends with
// the error; the raw form has no place for one and is cut off.
func (s *Server) logs(w http.ResponseWriter, r *http.Request, names []string) error {
	q := r.URL.Query()
	opts, err := logOptions(q, time.Now())
	if err != nil {
		return err
	}
	out := &lineWriter{w: w, rc: http.NewResponseController(w), json: acceptsLines(r), flush: opts.Follow}
	if out.times, err = flag(q, "timestamps"); err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return s.logsHead(r, names, out)
	}
	end, err := s.beginStream()
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	// A write that waits for a slow reader does not see ctx.
	defer context.AfterFunc(ctx, func() { _ = out.rc.SetWriteDeadline(time.Now().Add(endGrace)) })()

	err = func() error {
		defer out.beat()()
		return s.cfg.Service.Logs(ctx, names, opts, out.line)
	}()
	if ctx.Err() != nil { // nobody is left to read this, or the node ends before the task
		err = api.Errorf(api.NotReady, "the node is shutting down")
	}
	if err != nil && (!out.begun || !out.json) {
		_ = out.end()
		return err
	}
	out.begin()
	if err != nil {
		_ = out.entry(api.LogLine{Fault: asError(err)})
	}
	out.trailer()
	return nil
}

// logsHead answers whether there is what is named.
func (s *Server) logsHead(r *http.Request, names []string, out *lineWriter) error {
	for _, name := range names {
		var err error
		if api.ValidJobName(name) {
			_, err = s.cfg.Service.Job(r.Context(), name)
		} else {
			_, err = s.cfg.Service.Task(r.Context(), name)
		}
		if err != nil {
			return err
		}
	}
	out.begin()
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
	times bool // before each line of text
	flush bool // after each line; else as buffers fill

	mu     sync.Mutex // guards the writing, and what follows
	begun  bool
	wrote  time.Time
	part   string   // task and stream of a line of text that is not at its end
	faults []string // that text has no place for
}

// begin sends the header, once.
func (o *lineWriter) begin() {
	if o.begun {
		return
	}
	o.begun = true
	if o.json {
		o.w.Header().Set("Content-Type", mediaLines)
	} else {
		o.w.Header().Set("Content-Type", mediaText)
		o.w.Header().Set("Trailer", logFaults)
	}
	o.w.WriteHeader(http.StatusOK)
}

// beat has the stream show that it lives, until stop is called: the JSON form by an
// empty line, which readers of such lines skip. The text form stays as it is, since
// each byte of it is a task's; only its header is sent.
func (o *lineWriter) beat() (stop func()) {
	if !o.flush {
		return func() {}
	}
	done, beaten := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(beaten)
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				o.mu.Lock()
				if now.Sub(o.wrote) >= beatEvery {
					o.begin()
					text := ""
					if o.json {
						text = "\n"
					}
					_ = o.write([]byte(text)) // the next line meets the same fault
				}
				o.mu.Unlock()
			}
		}
	}()
	return func() {
		close(done)
		<-beaten
	}
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
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begin()
	switch {
	case o.json:
		return o.entry(l)
	case l.Fault != nil:
		if len(o.faults) < maxNames {
			o.faults = append(o.faults, fmt.Sprintf("%s: %s: %s", l.Node, l.Task, l.Fault.Detail))
		}
		return nil
	}
	return o.write(o.text(l))
}

// text is l as it was written. A line that goes on is put together, unless one of
// another task or stream comes in between.
func (o *lineWriter) text(l api.LogLine) []byte {
	from := l.Task + " " + l.Stream
	var b []byte
	if o.part != "" && o.part != from {
		b = append(b, '\n')
	}
	if o.times && o.part != from {
		b = l.Time.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, ' ')
	}
	b = append(b, l.Line...)
	if o.part = from; !l.Partial {
		o.part, b = "", append(b, '\n')
	}
	return b
}

func (o *lineWriter) entry(l api.LogLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return o.write(append(b, '\n'))
}

func (o *lineWriter) write(b []byte) error {
	o.wrote = time.Now()
	_, err := o.w.Write(b)
	if err == nil && o.flush {
		err = o.rc.Flush()
	}
	if errors.Is(err, http.ErrNotSupported) { // a recorder, or a wrapper without Flush: it comes at the end
		return nil
	}
	return err
}

// trailer says after a text whose lines are missing from it.
func (o *lineWriter) trailer() {
	if len(o.faults) > 0 {
		o.w.Header().Set(logFaults, strings.Join(o.faults, "; "))
	}
}
