package rest

import (
	"net/http"
	"net/url"
	"strings"
)

// A new route has four places: its path and its line in routes, here; its form in
// media, below, if it does not answer with JSON; its line of Operations in
// operations_test.go. Then
//
//	UPDATE_GOLDEN=1 go test ./api/rest -run OpenAPI
//
// writes openapi.json anew, with the types and comments of package api. The same
// test says what is missing: a parameter that is not described, a type without an
// example (both are in openapi_test.go). A new code has a line in the table of
// problem.go and a section in PROBLEMS.md.

// The paths, as http.ServeMux reads them; the client fills in the braces.
const (
	pathIndex   = "/{$}"
	pathOpenAPI = "/openapi.json"
	pathHealth  = "/healthz"
	pathReady   = "/readyz"
	pathMetrics = "/metrics"
	pathVersion = "/v1/version"
	pathJobs    = "/v1/jobs"
	pathJob     = "/v1/jobs/{name}"
	pathHistory = "/v1/jobs/{name}/history"
	pathScale   = "/v1/jobs/{name}/scale"
	pathStop    = "/v1/jobs/{name}/stop"
	pathRestart = "/v1/jobs/{name}/restart"
	pathOfJob   = "/v1/jobs/{name}/tasks"
	pathTasks   = "/v1/tasks"
	pathTask    = "/v1/tasks/{id}"
	pathLogs    = "/v1/tasks/{id}/logs"
	pathJobLogs = "/v1/jobs/{name}/logs"
	pathAllLogs = "/v1/logs"
	pathAuction = "/v1/tasks/{id}/auction"
	pathNodes   = "/v1/nodes"
	pathNode    = "/v1/nodes/{id}"
	pathDrain   = "/v1/nodes/{id}/drain"
	pathCordon  = "/v1/nodes/{id}/cordon"
	pathResume  = "/v1/nodes/{id}/resume"
	pathLabels  = "/v1/nodes/{id}/labels"
	pathLeave   = "/v1/cluster/leave"
	pathCluster = "/v1/cluster"
	pathJoin    = "/v1/cluster/join"
	pathHeld    = "/v1/nodes/{id}/containers"
	pathDigest  = "/v1/nodes/{id}/digest"
	pathView    = "/v1/nodes/{id}/view"
	pathAside   = "/v1/nodes/{id}/aside"
	pathRestore = "/v1/nodes/{id}/aside/restore"

	pathExplain    = "/v1/tasks/{id}/explain"
	pathExplainJob = "/v1/jobs/{name}/explain"

	pathRestartTask = "/v1/tasks/{id}/restart"
)

// A route is one method of one path.
type route struct {
	method string
	path   string
	query  []string // the parameters it knows; others are refused
	about  string   // for the page at /
	handle func(*Server, http.ResponseWriter, *http.Request) error
}

// logQuery is what every route of logs takes.
var logQuery = []string{"follow", "tail", "since", "until", "stream", "timestamps"}

// routes is everything that can be asked for. GET includes HEAD.
func routes() []route {
	return withWait([]route{
		{"GET", pathIndex, nil, "this page", (*Server).index},
		{"GET", pathOpenAPI, nil, "this API as OpenAPI 3.0, for programs", (*Server).openAPI},
		{"GET", pathHealth, nil, "200 while the program runs", (*Server).health},
		{"GET", pathReady, nil, "200 when the node takes requests, else 503 with the reason", (*Server).ready},
		{"GET", pathMetrics, nil, "measures of this node, for Prometheus", (*Server).metrics},
		{"GET", pathVersion, nil, "the build that answers", (*Server).version},

		{"GET", pathJobs, []string{"type", "status", "label", "project", "limit", "after"}, "all jobs; label=KEY or KEY=VALUE, with limit a page of them and a Link to the next", (*Server).jobs},
		{"POST", pathJobs, []string{"dry_run"}, "create a job: {\"name\":\"web\",\"image\":\"nginx\",\"replicas\":3}", (*Server).submit},
		{"GET", pathJob, []string{"generation"}, "one job; generation=N is what it was", (*Server).job},
		{"GET", pathHistory, nil, "the generations of a job that this node knows of", (*Server).history},
		{"PUT", pathJob, []string{"dry_run"}, "create a job, or replace what it is; If-Match and If-None-Match as in HTTP", (*Server).put},
		{"DELETE", pathJob, []string{"force"}, "remove a job and its tasks; force kills them", (*Server).remove},
		{"POST", pathScale, nil, "set the number of replicas: {\"replicas\":5}", (*Server).scale},
		{"POST", pathStop, nil, "keep the job, stop its tasks", (*Server).stop},
		{"POST", pathRestart, nil, "start a stopped job, or replace the tasks of a running one", (*Server).restart},
		{"GET", pathOfJob, []string{"node", "state", "all"}, "the tasks of one job", (*Server).tasksOfJob},
		{"GET", pathWait, []string{"for", "timeout"}, "wait until the job is as asked; for=running|complete|gone, timeout=60s", (*Server).waitJob},

		{"GET", pathTasks, []string{"job", "node", "state", "all"}, "tasks; all=true has ended ones too", (*Server).tasks},
		{"GET", pathTask, nil, "one task (web.3) or one attempt at it (web.3@2)", (*Server).task},
		{"GET", pathLogs, logQuery, "what it wrote; tail=100|all, since and until=10m|RFC 3339|unix, stream=stdout,stderr, follow, timestamps", (*Server).taskLogs},
		{"GET", pathJobLogs, logQuery, "what all its tasks wrote, by time", (*Server).jobLogs},
		{"GET", pathAllLogs, append([]string{"name"}, logQuery...), "what several wrote, by time; name=web,db.0", (*Server).namedLogs},
		{"GET", pathAuction, []string{"n"}, "who bid for it, and who won; n=1 is the auction before that one", (*Server).auction},
		{"POST", pathRestartTask, nil, "have its node stop it and start it anew", (*Server).restartTask},
		{"GET", pathExplain, nil, "why it is where it is, or nowhere", (*Server).explainTask},
		{"GET", pathExplainJob, nil, "why its tasks are where they are, and who refused those that wait", (*Server).explainJob},

		{"GET", pathNodes, []string{"status", "label"}, "all nodes", (*Server).nodes},
		{"GET", pathNode, nil, "one node, by id, prefix, short id or name", (*Server).node},
		{"DELETE", pathNode, nil, "forget a dead node", (*Server).removeNode},
		{"POST", pathDrain, nil, "have a node give up its tasks and take none", (*Server).drainNode},
		{"POST", pathCordon, nil, "have a node take no new tasks and keep those it has", (*Server).cordonNode},
		{"POST", pathResume, nil, "have a drained or cordoned node take tasks again", (*Server).resumeNode},
		{"PATCH", pathLabels, nil, "give a node labels: {\"disk\":\"ssd\",\"zone\":null}; null takes back what it was given", (*Server).labelNode},
		{"GET", pathHeld, nil, "what the drivers of a node have, as they say it", (*Server).containers},
		{"GET", pathDigest, nil, "the digest of a node's table: the same where the table is the same", (*Server).digest},
		{"GET", pathView, nil, "all nodes, as that one sees them", (*Server).nodeView},
		{"GET", pathAside, nil, "the jobs that a node set aside after an absence, since the others did not know them", (*Server).asides},
		{"POST", pathRestore, nil, "make a job anew of one that was set aside: {\"job\":\"web\"}", (*Server).restore},

		{"GET", pathCluster, nil, "the cluster as this node sees it", (*Server).cluster},
		{"POST", pathJoin, nil, "have this node join a cluster: {\"token\":\"orch-join-1-…\",\"peers\":[\"HOST\"]}", (*Server).join},

		{"GET", pathEvents, []string{"since", "after", "type", "job", "task", "node", "follow"}, "what happens, as it happens; since=10m, after=ID, type=task,node.failed; follow=false ends after what is kept", (*Server).events},
		{"POST", pathLeave, nil, "have this node leave the cluster for good: {\"force\":false}", (*Server).leave},
	})
}

// media are the forms in which the route answers; the first, unless the header
// Accept asks for another.
func (rt route) media() []string {
	switch rt.path {
	case pathIndex, pathHealth, pathReady, pathMetrics:
		return []string{mediaText}
	case pathLogs, pathJobLogs, pathAllLogs:
		return []string{mediaText, mediaLines}
	case pathEvents:
		return []string{mediaEvents, mediaLines}
	}
	return []string{mediaJSON}
}

// fill puts value in the place of the one wildcard of path.
func fill(path, value string) string {
	open, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
	segment := url.PathEscape(value)
	if segment == "." || segment == ".." { // they would be taken for steps in the path
		segment = strings.ReplaceAll(segment, ".", "%2E")
	}
	return path[:open] + segment + path[end+1:]
}
