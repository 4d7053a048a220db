package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

const (
	pathEvents  = "/v1/events"
	mediaEvents = "text/event-stream"
)

// eventTimeout is how long a reader of events may take nothing of what it is sent.
// It holds up nobody but itself.
const eventTimeout = 30 * time.Second

// events streams what happens: server-sent events, or JSON lines for who asks for
// them. A node that shuts down ends the stream; the reader goes on at another.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	f, err := eventFilter(r, time.Now())
	if err != nil {
		return err
	}
	out := &eventWriter{w: w, rc: http.NewResponseController(w)}
	if out.media = mediaEvents; acceptsLines(r) {
		out.media = mediaLines
	}
	if r.Method == http.MethodHead {
		return out.begin()
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
	defer context.AfterFunc(s.streams, func() { _ = out.rc.SetWriteDeadline(time.Now().Add(endGrace)) })()

	err = s.cfg.Service.Events(ctx, f, out.event)
	if err != nil && !out.begun && ctx.Err() == nil {
		return err
	}
	if !out.begun {
		return out.begin()
	}
	return nil // the reader has gone, or the stream has come to its end, which it can see
}

// eventFilter reads which events are wanted, at now. Last-Event-ID is what a
// browser that comes back sends.
func eventFilter(r *http.Request, now time.Time) (api.EventFilter, error) {
	q := r.URL.Query()
	f := api.EventFilter{After: q.Get("after"), Job: q.Get("job"), Task: q.Get("task"), Node: q.Get("node"), Follow: true}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		f.After = id
	}
	var err error
	if q.Has("follow") {
		if f.Follow, err = flag(q, "follow"); err != nil {
			return f, err
		}
	}
	if f.Since, err = moment(q, "since", now); err != nil {
		return f, err
	}
	for word := range strings.SplitSeq(q.Get("type"), ",") {
		t := api.EventType(strings.TrimSuffix(strings.TrimSpace(word), ".*"))
		switch {
		case t == "":
		case api.KnownEventType(t):
			f.Types = append(f.Types, t)
		default:
			return f, noSuchType(string(t))
		}
	}
	if f.Task != "" {
		if _, err := api.ParseTaskID(f.Task); err != nil {
			return f, api.Errorf(api.BadQuery, "task=%.80q is no task", f.Task).WithHint("write web.3, or web.3@2 for one attempt")
		}
	}
	return f, nil
}

func noSuchType(t string) error {
	var names []string
	for _, known := range api.EventTypes() {
		family, _, _ := strings.Cut(string(known), ".")
		if !slices.Contains(names, family) {
			names = append(names, family)
		}
		names = append(names, string(known))
	}
	return api.Errorf(api.BadQuery, "type=%.40q is no type of event%s", t, didYouMean(t, names)).
		WithHint("the types are %s", strings.Join(names, ", "))
}

// eventQuery is f as a query, for the client.
func eventQuery(f api.EventFilter) url.Values {
	q := url.Values{}
	for key, value := range map[string]string{"after": f.After, "job": f.Job, "task": f.Task, "node": f.Node} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	var types []string
	for _, t := range f.Types {
		types = append(types, string(t))
	}
	if types != nil {
		q.Set("type", strings.Join(types, ","))
	}
	if !f.Follow {
		q.Set("follow", "false")
	}
	return q
}

// An eventWriter writes events as they come.
type eventWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	media string
	begun bool
	buf   bytes.Buffer
}

// begin sends the header, and how soon a browser that lost the stream is to be back.
func (o *eventWriter) begin() error {
	o.begun = true
	o.w.Header().Set("Content-Type", o.media)
	o.w.WriteHeader(http.StatusOK)
	if o.media == mediaEvents {
		o.buf.WriteString("retry: 2000\n\n")
	}
	return o.flush()
}

// event writes e; its error says that the client is gone, or takes nothing.
func (o *eventWriter) event(e api.Event) error {
	if !o.begun {
		if err := o.begin(); err != nil {
			return err
		}
	}
	if o.media == mediaEvents {
		fmt.Fprintf(&o.buf, "id: %s\n", e.ID)
		if e.Type == api.EventMark { // an id alone is no event, but is remembered
			o.buf.WriteString(": ping\n\n")
			return o.flush()
		}
		fmt.Fprintf(&o.buf, "event: %s\ndata: ", e.Type)
	}
	enc := json.NewEncoder(&o.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	if o.media == mediaEvents {
		o.buf.WriteByte('\n')
	}
	return o.flush()
}

func (o *eventWriter) flush() error {
	_ = o.rc.SetWriteDeadline(time.Now().Add(eventTimeout)) // a recorder in tests has none
	_, err := o.w.Write(o.buf.Bytes())
	o.buf.Reset()
	if err != nil {
		return err
	}
	if err := o.rc.Flush(); !errors.Is(err, http.ErrNotSupported) { // a recorder, or a wrapper without Flush
		return err
	}
	return nil
}
