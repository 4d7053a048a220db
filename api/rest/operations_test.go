package rest

import (
	"slices"

	"github.com/exitae337/orchestergo/api"
)

// An Operation is what openapi.json says of a route beyond the table of routes.
type Operation struct {
	ID      string
	In      any        // a value of the type of the body; nil for none
	Out     any        // a value of the type of the answer; nil for text
	Status  int        // of success; 0 is 200
	Write   bool       // answers with Orch-Durable, and 202 if it is not yet safe
	Headers []string   // of the request, see the parameters in openapi_test.go
	Fails   []api.Code // besides those that any request can meet
}

// Operations has one entry for each route.
var Operations = map[string]Operation{
	"GET /":             {ID: "getIndex"},
	"GET /openapi.json": {ID: "getOpenAPI", Out: map[string]any{}},
	"GET /healthz":      {ID: "getHealth"},
	"GET /readyz":       {ID: "getReady", Fails: []api.Code{api.NotReady}},
	"GET /metrics":      {ID: "getMetrics"},
	"GET /v1/version":   {ID: "getVersion", Out: api.Version{}},

	"GET /v1/jobs":                 {ID: "listJobs", Out: []api.Job{}},
	"POST /v1/jobs":                {ID: "createJob", In: api.Job{}, Out: api.Job{}, Status: 201, Write: true, Headers: ofWrite, Fails: []api.Code{api.JobExists, api.Stale, api.KeyReused, api.NewerRelease}},
	"GET /v1/jobs/{name}":          {ID: "getJob", Out: api.Job{}, Fails: append(ofJob, api.NewerRelease)},
	"GET /v1/jobs/{name}/history":  {ID: "getJobHistory", Out: []api.Generation{}, Fails: ofJob},
	"PUT /v1/jobs/{name}":          {ID: "putJob", In: api.Job{}, Out: api.Job{}, Status: 201, Write: true, Headers: ofWrite, Fails: []api.Code{api.Stale, api.KeyReused, api.NewerRelease}},
	"DELETE /v1/jobs/{name}":       {ID: "removeJob", Out: api.Job{}, Write: true, Headers: ofWrite, Fails: onJob},
	"POST /v1/jobs/{name}/scale":   {ID: "scaleJob", In: scaling{}, Out: api.Job{}, Write: true, Headers: ofWrite, Fails: append(onJob, api.NotScalable)},
	"POST /v1/jobs/{name}/stop":    {ID: "stopJob", Out: api.Job{}, Write: true, Headers: ofWrite, Fails: onJob},
	"POST /v1/jobs/{name}/restart": {ID: "restartJob", Out: api.Job{}, Write: true, Headers: ofWrite, Fails: onJob},
	"GET /v1/jobs/{name}/tasks":    {ID: "listTasksOfJob", Out: []api.Task{}, Fails: append(ofJob, api.NewerRelease)},

	"GET /v1/jobs/{name}/wait": {ID: "waitJob", Out: waited{}, Fails: append(ofJob, api.Invalid, api.NotReady)},

	"GET /v1/tasks":              {ID: "listTasks", Out: []api.Task{}, Fails: append(ofJob, api.NewerRelease)},
	"GET /v1/tasks/{id}":         {ID: "getTask", Out: api.Task{}, Fails: ofTask},
	"GET /v1/tasks/{id}/logs":    {ID: "getTaskLogs", Out: api.LogEntry{}, Fails: append(ofTask, api.NodeUnreachable, api.NotReady, api.TooLarge, api.TooMany)},
	"GET /v1/tasks/{id}/auction": {ID: "getTaskAuction", Out: api.Sheet{}, Fails: append(ofTask, api.AuctionExpired, api.NodeUnreachable)},

	"GET /v1/jobs/{name}/explain": {ID: "explainJob", Out: api.Explanation{}, Fails: ofTask},
	"POST /v1/tasks/{id}/restart": {ID: "restartTask", Out: api.Task{}, Fails: append(ofTask, api.NotRunning, api.NotReady, api.NodeUnreachable)},
	"GET /v1/tasks/{id}/explain":  {ID: "explainTask", Out: api.Explanation{}, Fails: ofTask},

	"GET /v1/logs":             {ID: "getLogs", Out: api.LogEntry{}, Fails: append(ofTask, api.NodeUnreachable, api.NotReady, api.TooLarge, api.TooMany)},
	"GET /v1/jobs/{name}/logs": {ID: "getJobLogs", Out: api.LogEntry{}, Fails: append(ofTask, api.NodeUnreachable, api.NotReady, api.TooLarge, api.TooMany)},

	"GET /v1/nodes":                 {ID: "listNodes", Out: []api.Node{}},
	"GET /v1/nodes/{id}":            {ID: "getNode", Out: api.Node{}, Fails: ofNode},
	"DELETE /v1/nodes/{id}":         {ID: "forgetNode", Out: api.Node{}, Fails: append(ofNode, api.NodeAlive, api.NotReady)},
	"POST /v1/nodes/{id}/drain":     {ID: "drainNode", Out: api.Node{}, Status: 202, Fails: append(ofNode, api.NodeUnreachable, api.NotReady)},
	"POST /v1/nodes/{id}/cordon":    {ID: "cordonNode", Out: api.Node{}, Fails: append(ofNode, api.NodeUnreachable, api.NotReady)},
	"PATCH /v1/nodes/{id}/labels":   {ID: "labelNode", In: api.LabelChange{}, Out: api.Node{}, Fails: append(ofNode, api.NodeUnreachable, api.NotReady)},
	"POST /v1/nodes/{id}/resume":    {ID: "resumeNode", Out: api.Node{}, Fails: append(ofNode, api.NodeUnreachable, api.NotReady)},
	"GET /v1/nodes/{id}/containers": {ID: "listContainersOfNode", Out: []api.Container{}, Fails: append(ofNode, api.NodeUnreachable)},
	"GET /v1/nodes/{id}/digest":     {ID: "getDigestOfNode", Out: api.Digest{}, Fails: append(ofNode, api.NodeUnreachable)},
	"GET /v1/nodes/{id}/view":       {ID: "listNodesSeenByNode", Out: []api.Node{}, Fails: append(ofNode, api.NodeUnreachable)},
	"GET /v1/nodes/{id}/aside":      {ID: "listAsideOfNode", Out: []api.Aside{}, Fails: append(ofNode, api.NodeUnreachable)},
	"GET /v1/cluster":               {ID: "getCluster", Out: api.Cluster{}},
	"POST /v1/cluster/join":         {ID: "joinCluster", In: api.Joining{}, Out: api.Joined{}, Fails: []api.Code{api.OtherCluster, api.JoinFailed, api.NotReady, api.NotSupported}},
	"POST /v1/cluster/leave":        {ID: "leaveCluster", In: leaving{}, Out: leaving{}, Status: 202, Fails: []api.Code{api.NotReady}},
	"POST /v1/nodes/{id}/aside/restore": {ID: "restoreJob", In: api.Restoring{}, Out: api.Job{}, Status: 201, Write: true, Headers: ofWrite,
		Fails: slices.Concat(ofNode, ofJob, []api.Code{api.NodeUnreachable, api.JobExists, api.KeyReused})},
	"GET /v1/events": {ID: "getEvents", Out: api.Event{}, Fails: []api.Code{api.NotReady, api.TooMany}},
}

// ofWrite are the headers that every write to a job may have.
var ofWrite = []string{"If-Match", "If-None-Match", "Idempotency-Key"}

// onJob is why a write to a job that should be there is refused.
var onJob = []api.Code{api.JobNotFound, api.Stale, api.KeyReused, api.Invalid, api.NewerRelease}

// What a path can name that is not there.
var (
	ofJob  = []api.Code{api.JobNotFound}
	ofTask = []api.Code{api.TaskNotFound, api.JobNotFound, api.Invalid}
	ofNode = []api.Code{api.NodeNotFound, api.AmbiguousName}
)

// A Route is one line of the table of routes.
type Route struct {
	Method, Path, About string
	Query, Media        []string
}

// Routes is the table of routes.
func Routes() []Route {
	var list []Route
	for _, rt := range routes() {
		list = append(list, Route{rt.method, rt.path, rt.about, rt.query, rt.media()})
	}
	return list
}

// Problem is the body of a refusal.
type Problem = problem

// ReadOnly says whether a field of a job is the cluster's.
func ReadOnly(field string) bool { return readOnly(field) }

// ProblemType precedes a code in the type of a problem.
const ProblemType = problemType

// WaitedFor is the answer to a wait that ended well.
func WaitedFor(job api.Job) any { return waited{&job, true} }
