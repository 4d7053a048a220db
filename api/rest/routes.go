package rest

import (
	"net/http"
	"net/url"
	"strings"
)

// The paths, as http.ServeMux reads them; the client fills in the braces.
const (
	pathIndex   = "/{$}"
	pathHealth  = "/healthz"
	pathReady   = "/readyz"
	pathVersion = "/v1/version"
	pathJobs    = "/v1/jobs"
	pathJob     = "/v1/jobs/{name}"
	pathScale   = "/v1/jobs/{name}/scale"
	pathStop    = "/v1/jobs/{name}/stop"
	pathRestart = "/v1/jobs/{name}/restart"
	pathOfJob   = "/v1/jobs/{name}/tasks"
	pathTasks   = "/v1/tasks"
	pathTask    = "/v1/tasks/{id}"
	pathLogs    = "/v1/tasks/{id}/logs"
	pathAuction = "/v1/tasks/{id}/auction"
	pathNodes   = "/v1/nodes"
	pathNode    = "/v1/nodes/{id}"
	pathDrain   = "/v1/nodes/{id}/drain"
	pathResume  = "/v1/nodes/{id}/resume"
	pathLeave   = "/v1/cluster/leave"
)

// A route is one method of one path.
type route struct {
	method string
	path   string
	query  []string // the parameters it knows; others are refused
	about  string   // for the page at /
	handle func(*Server, http.ResponseWriter, *http.Request) error
}

// routes is everything that can be asked for. GET includes HEAD.
func routes() []route {
	return []route{
		{"GET", pathIndex, nil, "this page", (*Server).index},
		{"GET", pathHealth, nil, "200 while the program runs", (*Server).health},
		{"GET", pathReady, nil, "200 when the node takes requests, else 503 with the reason", (*Server).ready},
		{"GET", pathVersion, nil, "the build that answers", (*Server).version},

		{"GET", pathJobs, nil, "all jobs", (*Server).jobs},
		{"POST", pathJobs, nil, "create a job: {\"name\":\"web\",\"image\":\"nginx\",\"replicas\":3}", (*Server).submit},
		{"GET", pathJob, nil, "one job", (*Server).job},
		{"DELETE", pathJob, nil, "remove a job and its tasks", (*Server).remove},
		{"POST", pathScale, nil, "set the number of replicas: {\"replicas\":5}", (*Server).scale},
		{"POST", pathStop, nil, "keep the job, stop its tasks", (*Server).stop},
		{"POST", pathRestart, nil, "start a stopped job, or replace the tasks of a running one", (*Server).restart},
		{"GET", pathOfJob, []string{"node", "state", "all"}, "the tasks of one job", (*Server).tasksOfJob},

		{"GET", pathTasks, []string{"job", "node", "state", "all"}, "tasks; all=true has ended ones too", (*Server).tasks},
		{"GET", pathTask, nil, "one task (web.3) or one attempt at it (web.3@2)", (*Server).task},
		{"GET", pathLogs, []string{"follow", "tail", "since", "stream"}, "what it wrote; tail=100|all, since=10m|RFC 3339|unix, stream=stdout,stderr, follow", (*Server).logs},
		{"GET", pathAuction, nil, "who bid for it, and why it is where it is", (*Server).auction},

		{"GET", pathNodes, nil, "all nodes", (*Server).nodes},
		{"GET", pathNode, nil, "one node, by id, prefix, short id or name", (*Server).node},
		{"DELETE", pathNode, nil, "forget a dead node", (*Server).removeNode},
		{"POST", pathDrain, nil, "have a node give up its tasks and take none", (*Server).drainNode},
		{"POST", pathResume, nil, "have a drained node take tasks again", (*Server).resumeNode},
		{"POST", pathLeave, nil, "have this node leave the cluster for good: {\"force\":false}", (*Server).leave},
	}
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
