package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// LogOptions says which log lines are wanted.
type LogOptions struct {
	Follow  bool
	Tail    int       // of each task the last so many lines before following; negative is all
	Since   time.Time // none written before; zero is all
	Until   time.Time // none written after; zero is all. Following ends then
	Streams []string  // "stdout", "stderr"; none is both
}

// LogLine is one line that a task wrote or, if it has a Fault, why some of a
// task's are missing.
type LogLine struct {
	Time    time.Time
	Task    string
	Epoch   uint64
	Node    string // name
	Stream  string
	Line    string // without its newline, byte for byte
	Partial bool   // the line goes on in the next one of its task and stream
	Fault   *Error // the lines of Task on Node, or those that would follow, cannot be had
}

// LogEntry is a LogLine as JSON has it: what was written, as line or line_b64, or an
// error.
type LogEntry struct {
	Time    *time.Time `json:"time,omitempty"`
	Task    string     `json:"task,omitempty"`
	Epoch   uint64     `json:"epoch,omitempty"`
	Node    string     `json:"node,omitempty"` // name
	Stream  string     `json:"stream,omitempty"`
	Line    *string    `json:"line,omitempty"`     // without its newline
	LineB64 string     `json:"line_b64,omitempty"` // instead of line, for bytes that are not UTF-8
	Partial bool       `json:"partial,omitempty"`  // the line goes on in the next of its task and stream
	Error   string     `json:"error,omitempty"`    // why lines of the task are missing; without a task or node, why there are no more at all
	Code    Code       `json:"code,omitempty"`     // of the error
	Hint    string     `json:"hint,omitempty"`     // what to do about it
}

// MarshalJSON writes a LogEntry.
func (l LogLine) MarshalJSON() ([]byte, error) {
	e := LogEntry{Task: l.Task, Epoch: l.Epoch, Node: l.Node, Stream: l.Stream, Partial: l.Partial}
	switch {
	case l.Fault != nil:
		e.Error, e.Code, e.Hint = l.Fault.Error(), l.Fault.Code, l.Fault.Hint
		return json.Marshal(e)
	case utf8.ValidString(l.Line):
		e.Line = &l.Line
	default:
		e.LineB64 = base64.StdEncoding.EncodeToString([]byte(l.Line))
	}
	e.Time = &l.Time
	return json.Marshal(e)
}

// UnmarshalJSON reads a LogEntry.
func (l *LogLine) UnmarshalJSON(b []byte) error {
	var e LogEntry
	if err := json.Unmarshal(b, &e); err != nil {
		return fmt.Errorf("read a log line: %w", err)
	}
	*l = LogLine{Task: e.Task, Epoch: e.Epoch, Node: e.Node, Stream: e.Stream, Partial: e.Partial}
	if e.Time != nil {
		l.Time = *e.Time
	}
	switch {
	case e.Error != "" || e.Code != "":
		l.Fault = &Error{Code: e.Code, Detail: e.Error, Hint: e.Hint}
	case e.Line != nil:
		l.Line = *e.Line
	default:
		line, err := base64.StdEncoding.DecodeString(e.LineB64)
		if err != nil {
			return fmt.Errorf("read a log line: %w", err)
		}
		l.Line = string(line)
	}
	return nil
}
