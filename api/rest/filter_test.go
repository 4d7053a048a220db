package rest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func TestJobFilters(t *testing.T) {
	f := newFake()
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		job := webJob()
		job.Name, job.Labels = name, map[string]string{"team": "blue", "tier": name}
		if i%2 == 1 {
			job.Type, job.Labels = api.BatchJob, map[string]string{"orch.project": "shop", "team": ""}
		}
		f.put(job)
	}
	srv := serve(t, f, nil)
	for query, want := range map[string]string{
		"": "abcde", "type=service": "ace", "type=batch": "bd", "type=": "abcde", "status=pending": "abcde", "status=running": "",
		"label=team": "abcde", "label=team=blue": "ace", "label=team=": "bd", "label=team=blue&label=tier=c": "c", "label=tier&label=nothing": "",
		"project=shop": "bd", "project=other": "", "after=b": "cde", "after=bb": "cde", "after=e": "",
		"limit=2": "ab>", "limit=2&after=b": "cd>", "limit=2&after=d": "e", "limit=5": "abcde", "limit=1&type=batch": "b>", "limit=99999": "abcde",
	} {
		res, body := ask(t, request(t, "GET", srv.URL+"/v1/jobs?"+query, ""))
		var jobs []api.Job
		if err := json.Unmarshal([]byte(body), &jobs); err != nil || jobs == nil {
			t.Fatalf("%s: %v %s", query, err, body)
		}
		got := ""
		for _, j := range jobs {
			got += j.Name
		}
		link := res.Header.Get("Link")
		if link != "" {
			got += ">"
		}
		equal(t, query, got, want)
		if query == "limit=1&type=batch" {
			equal(t, "link", link, `</v1/jobs?after=b&limit=1&type=batch>; rel="next"`)
			next, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
			res, body = ask(t, request(t, "GET", srv.URL+next, ""))
			equal(t, "the next page ends the list", res.Header.Get("Link"), "")
			equal(t, "it has d", strings.Contains(body, `"name":"d"`), true)
		}
	}
}

func TestNodeFilters(t *testing.T) {
	srv := serve(t, newFake(), nil)
	for query, want := range map[string]bool{"": true, "status=ready": true, "status=failed": false, "label=zone": true, "label=zone=eu": true,
		"label=zone=us": false, "label=zone=eu&label=rack": false} {
		_, body := ask(t, request(t, "GET", srv.URL+"/v1/nodes?"+query, ""))
		equal(t, query, body != "[]\n", want)
	}
}
