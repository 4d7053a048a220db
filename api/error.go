package api

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Code names a kind of refusal. It is the contract for programs; titles and
// details are for people and may change.
type Code string

// The codes. Package api/rest maps each to an HTTP status.
const (
	BadRequest      Code = "bad_request"      // not JSON, wrong type, too many values
	UnknownField    Code = "unknown_field"    // a field this version does not know
	BadQuery        Code = "bad_query"        // an unknown or unreadable query parameter
	Invalid         Code = "invalid"          // well formed, but a value is not allowed
	NotSupported    Code = "not_supported"    // part of the design, not of this version
	JobExists       Code = "job_exists"       // a job of that name is there
	JobNotFound     Code = "job_not_found"    // no job of that name
	TaskNotFound    Code = "task_not_found"   // no such task
	NodeNotFound    Code = "node_not_found"   // no such node
	NotRunning      Code = "not_running"      // the task does not run, so it cannot be restarted
	AuctionExpired  Code = "auction_expired"  // the sheet is no longer kept, or its keeper is gone
	AmbiguousName   Code = "ambiguous_name"   // several nodes match
	OtherCluster    Code = "other_cluster"    // the node has a cluster that it must leave first
	JoinFailed      Code = "join_failed"      // the cluster could not be joined; nothing has changed
	NodeAlive       Code = "node_alive"       // a live node cannot be forgotten
	NotScalable     Code = "not_scalable"     // the kind of job has no replicas to set
	NewerRelease    Code = "newer_release"    // the job was written by a newer orch, and this node would lose a part of it
	Stale           Code = "stale"            // somebody wrote a newer version meanwhile
	KeyReused       Code = "key_reused"       // an idempotency key with another body
	NotReady        Code = "not_ready"        // this node has not finished starting
	ClockOff        Code = "clock_off"        // this node's clock is too far from its peers'
	NodeUnreachable Code = "node_unreachable" // the node that has the answer cannot be reached
	TooLarge        Code = "too_large"        // body or record over its limit
	TableFull       Code = "table_full"       // the cluster keeps no more records than it has
	TooMany         Code = "too_many"         // too many streams are open at this node
	Unauthorized    Code = "unauthorized"     // token missing or wrong
	Forbidden       Code = "forbidden"        // foreign Origin
	WrongHost       Code = "wrong_host"       // foreign Host
	WrongMethod     Code = "wrong_method"     // the path does not have that method
	WrongMedia      Code = "wrong_media"      // body is not application/json
	NotAcceptable   Code = "not_acceptable"   // no form of the answer that is asked for
	NotFound        Code = "not_found"        // no such path
	Internal        Code = "internal"         // a fault of orch
)

// FieldError is one fault in a request body.
type FieldError struct {
	Pointer string `json:"pointer"` // where, as a JSON pointer in a fragment: "#/resources/cpus"
	Detail  string `json:"detail"`  // what is wrong
}

// PointerToken is a key as a part of a JSON pointer in a fragment (RFC 6901). A key
// that is very long is cut.
func PointerToken(key string) string {
	if runes := []rune(key); len(runes) > 80 {
		key = string(runes[:80]) + "…"
	}
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
}

// Error is a refusal. It names what was wrong and, in Hint, what to do about it.
type Error struct {
	Code       Code          `json:"code"`
	Detail     string        `json:"detail"`
	Fields     []FieldError  `json:"errors,omitempty"` // all faults of a body at once
	Hint       string        `json:"hint,omitempty"`
	Current    *Job          `json:"current,omitempty"` // for Stale and JobExists: what is there
	RetryAfter time.Duration `json:"-"`                 // for NotReady and ClockOff: when to ask again
}

// Error is the detail, with the faults of single fields appended.
func (e *Error) Error() string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = strings.TrimPrefix(f.Pointer, "#/") + ": " + f.Detail
	}
	return e.Detail + ": " + strings.Join(parts, "; ")
}

// Errorf makes an Error with a formatted detail.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// CodeOf is the code of the Error in err's chain: "" for nil, Internal for an
// error that carries none.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return Internal
}
