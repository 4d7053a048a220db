package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// problemType precedes a code in the type of a problem, which is where a person
// finds more about it.
const problemType = "https://github.com/exitae337/orchestergo/blob/main/api/rest/PROBLEMS.md#"

// maxProblem bounds what the client reads of an answer that is no success.
const maxProblem = 2 << 20

// kinds is the one table of codes: the HTTP status of each, and its title.
var kinds = map[api.Code]struct {
	status int
	title  string
}{
	api.BadRequest:      {http.StatusBadRequest, "the request cannot be read"},
	api.UnknownField:    {http.StatusBadRequest, "the body has a field that is not known"},
	api.BadQuery:        {http.StatusBadRequest, "the query cannot be read"},
	api.Invalid:         {http.StatusUnprocessableEntity, "a value is not allowed"},
	api.NotSupported:    {http.StatusUnprocessableEntity, "not in this version"},
	api.JobExists:       {http.StatusConflict, "the job exists"},
	api.JobNotFound:     {http.StatusNotFound, "no such job"},
	api.TaskNotFound:    {http.StatusNotFound, "no such task"},
	api.NodeNotFound:    {http.StatusNotFound, "no such node"},
	api.NotRunning:      {http.StatusConflict, "the task does not run"},
	api.AuctionExpired:  {http.StatusNotFound, "the auction is no longer known"},
	api.AmbiguousName:   {http.StatusConflict, "the name fits several nodes"},
	api.OtherCluster:    {http.StatusConflict, "the node belongs to another cluster"},
	api.JoinFailed:      {http.StatusBadGateway, "the cluster could not be joined"},
	api.NodeAlive:       {http.StatusConflict, "the node is alive"},
	api.NotScalable:     {http.StatusConflict, "the job cannot be scaled"},
	api.NewerRelease:    {http.StatusConflict, "the job was written by a newer orch"},
	api.Stale:           {http.StatusPreconditionFailed, "the job was changed meanwhile"},
	api.KeyReused:       {http.StatusUnprocessableEntity, "the idempotency key was used for another request"},
	api.NotReady:        {http.StatusServiceUnavailable, "the node is not ready"},
	api.ClockOff:        {http.StatusServiceUnavailable, "the node's clock is off"},
	api.NodeUnreachable: {http.StatusBadGateway, "the node that knows cannot be reached"},
	api.TooLarge:        {http.StatusRequestEntityTooLarge, "too large"},
	api.TableFull:       {http.StatusRequestEntityTooLarge, "the table is full"},
	api.TooMany:         {http.StatusTooManyRequests, "too many streams"},
	api.Unauthorized:    {http.StatusUnauthorized, "the token is missing or wrong"},
	api.Forbidden:       {http.StatusForbidden, "a web page of another origin asked"},
	api.WrongHost:       {http.StatusMisdirectedRequest, "the host is not served here"},
	api.WrongMethod:     {http.StatusMethodNotAllowed, "the path does not have that method"},
	api.WrongMedia:      {http.StatusUnsupportedMediaType, "the body is not application/json"},
	api.NotAcceptable:   {http.StatusNotAcceptable, "there is no such form of the answer"},
	api.NotFound:        {http.StatusNotFound, "no such path"},
	api.Internal:        {http.StatusInternalServerError, "a fault of orch"},
}

// Status is the HTTP status of a code. A code that is not in the table is a
// fault of orch: 500.
func Status(code api.Code) int {
	if k, ok := kinds[code]; ok {
		return k.status
	}
	return http.StatusInternalServerError
}

// problem is an api.Error as RFC 9457 has it.
type problem struct {
	Type     string           `json:"type"`
	Title    string           `json:"title"`
	Status   int              `json:"status"`
	Detail   string           `json:"detail"`
	Instance string           `json:"instance"`
	Code     api.Code         `json:"code"`
	Errors   []api.FieldError `json:"errors,omitempty"`
	Hint     string           `json:"hint,omitempty"`
	Current  *api.Job         `json:"current,omitempty"`
}

// asError is the *api.Error in err, or one of code Internal that says what err says.
func asError(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	return &api.Error{Code: api.Internal, Detail: err.Error()}
}

// problemOf is e as what instance, a path, answers.
func problemOf(e *api.Error, instance string) problem {
	return problem{
		Type: problemType + string(e.Code), Title: kinds[e.Code].title, Status: Status(e.Code),
		Detail: e.Detail, Instance: instance, Code: e.Code,
		Errors: e.Fields, Hint: e.Hint, Current: e.Current,
	}
}

// ProblemJSON is e in the form that answers have, as one line without its end: for
// who shows errors to programs.
func ProblemJSON(e *api.Error) ([]byte, error) { return json.Marshal(problemOf(e, "")) }

// writeProblem answers with err.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	p := problemOf(e, r.URL.EscapedPath())
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		seconds := max(1, math.Ceil(e.RetryAfter.Seconds()))
		w.Header().Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
	}
	_ = writeBody(w, "application/problem+json", p.Status, p) // plain values: can be encoded
}

// readProblem is the error that an answer without success carries: an *api.Error
// if it is a problem of ours. The body is not closed.
func readProblem(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil {
		return fmt.Errorf("read the answer %s: %w", res.Status, err)
	}
	var p problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		text := strings.TrimSpace(string(body))
		return fmt.Errorf("the answer was %s, and not in the form of orch's API (is that its address?): %.200q", res.Status, text)
	}
	e := &api.Error{Code: p.Code, Detail: p.Detail, Fields: p.Errors, Hint: p.Hint, Current: p.Current}
	if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 31); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
