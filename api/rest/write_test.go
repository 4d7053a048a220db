package rest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

func TestPut(t *testing.T) {
	f := newFake()
	srv := serve(t, f, nil)
	var last string
	for _, tt := range []struct {
		what    string
		body    string
		headers []string
		status  int
		etag    string
		code    api.Code
	}{
		{"new, on a condition it does not meet", `{"image":"nginx:1"}`, []string{"If-Match", "*"}, 412, "", api.Stale},
		{"new", `{"image":"nginx:1"}`, []string{"If-None-Match", "*"}, 201, `"1-abcd"`, ""},
		{"not new any more", `{"image":"nginx:1"}`, []string{"If-None-Match", "*"}, 412, "", api.Stale},
		{"the same", `{"name":"web","image":"nginx:1"}`, nil, 200, `"1-abcd"`, ""},
		{"what was read", "read", []string{"If-Match", `"0-x", "1-abcd"`}, 200, `"1-abcd"`, ""},
		{"changed", `{"image":"nginx:2"}`, []string{"If-Match", `"1-abcd"`}, 200, `"2-abcd"`, ""},
		{"changed by somebody else meanwhile", `{"image":"nginx:3"}`, []string{"If-Match", `"1-abcd"`}, 412, "", api.Stale},
		{"a weak ETag", `{"image":"nginx:3"}`, []string{"If-Match", `W/"2-abcd"`}, 412, "", api.Stale},
		{"whatever it is", `{"image":"nginx:3"}`, []string{"If-Match", `*`}, 200, `"3-abcd"`, ""},
		{"another name", `{"name":"api","image":"nginx:3"}`, nil, 422, "", api.Invalid},
		{"a bad job", `{"image":"nginx:3","replicas":-1}`, nil, 422, "", api.Invalid},
		{"a long key", `{"image":"nginx:4"}`, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 422, "", api.Invalid},
		{"a key", `{"image":"nginx:4"}`, []string{"Idempotency-Key", strings.Repeat("k", 255)}, 200, `"4-abcd"`, ""},
	} {
		body := tt.body
		if body == "read" {
			_, body = ask(t, request(t, "GET", srv.URL+"/v1/jobs/web", ""))
		}
		res, answer := ask(t, request(t, "PUT", srv.URL+"/v1/jobs/web", body, tt.headers...))
		equal(t, tt.what, res.StatusCode, tt.status)
		equal(t, tt.what+": ETag", res.Header.Get("ETag"), tt.etag)
		equal(t, tt.what+": has a Location", res.Header.Get("Location") != "", tt.status == 201)
		if tt.code != "" {
			p := readProblem(t, res, answer)
			equal(t, tt.what+": code", p.Code, string(tt.code))
			if there := strings.Contains(answer, `"current":{"name":"web"`); there != (tt.status == 412 && last != "") {
				t.Errorf("%s: tells of the current job: %v; %s", tt.what, there, answer)
			}
			continue
		}
		last = answer
	}
}

func TestAWriteOnTooFewDisks(t *testing.T) {
	f := newFake()
	f.disks = 1
	srv := serve(t, f, nil)
	res, body := ask(t, request(t, "PUT", srv.URL+"/v1/jobs/web", `{"image":"nginx"}`))
	equal(t, "status", res.StatusCode, 202)
	equal(t, "Location", res.Header.Get("Location"), "/v1/jobs/web")
	var got struct {
		Name       string
		Durability map[string]int
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	equal(t, "durability", got.Durability, map[string]int{"disks": 1, "wanted": 3})
	equal(t, "name", got.Name, "web")

	f.disks = 3
	res, body = ask(t, request(t, "PUT", srv.URL+"/v1/jobs/web", body)) // what was answered can be sent
	equal(t, "again: "+body, res.StatusCode, 200)
	equal(t, "says so", strings.Contains(body, "durability"), false)
}

func TestConditionsOfOtherWrites(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		f.put(webJob())
		ctx := t.Context()
		for _, write := range []func(api.WriteOptions) (api.Written, error){
			func(o api.WriteOptions) (api.Written, error) { return svc.Scale(ctx, "web", 7, o) },
			func(o api.WriteOptions) (api.Written, error) { return svc.Stop(ctx, "web", o) },
			func(o api.WriteOptions) (api.Written, error) { return svc.Restart(ctx, "web", o) },
			func(o api.WriteOptions) (api.Written, error) { return svc.Put(ctx, webJob(), o) },
			func(o api.WriteOptions) (api.Written, error) { return svc.Remove(ctx, "web", o) },
		} {
			before, _ := svc.Job(ctx, "web")
			_, err := write(api.WriteOptions{IfMatch: "9-other"})
			equal(t, "code", api.CodeOf(err), api.Stale)
			wr, err := write(api.WriteOptions{IfMatch: before.ETag, Key: "k", Force: true})
			equal(t, "error", err, nil)
			equal(t, "generation", wr.Job.Generation, before.Generation+1)
			equal(t, "key", f.opts.Key, "k")
		}
		equal(t, "force", f.opts.Force, true) // of the removal, which came last
	})
}

func TestContractPlansAndHistory(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		ctx := t.Context()
		planned, err := svc.Plan(ctx, webJob(), true, api.WriteOptions{})
		want := webJob().Spec()
		want.Plan = planned.Plan
		equal(t, "planned", planned, want)
		equal(t, "slots", len(planned.Plan.Slots), 2)
		equal(t, "error", err, nil)
		equal(t, "stored", len(f.stored), 0)
		f.put(webJob())
		_, err = svc.Plan(ctx, webJob(), true, api.WriteOptions{})
		equal(t, "to create what is there", api.CodeOf(err), api.JobExists)
		planned, err = svc.Plan(ctx, webJob(), false, api.WriteOptions{IfMatch: "1-abcd"})
		equal(t, "ETag of what is there", planned.ETag, "1-abcd")
		equal(t, "error", err, nil)
		_, err = svc.Plan(ctx, webJob(), false, api.WriteOptions{IfMatch: "2-abcd"})
		equal(t, "stale", api.CodeOf(err), api.Stale)

		list, err := svc.History(ctx, "web")
		known, _ := f.History(ctx, "web")
		equal(t, "history", list, known)
		equal(t, "error", err, nil)
		job, err := svc.Generation(ctx, "web", "1-abcd")
		equal(t, "generation", job, f.stored["web"])
		equal(t, "error", err, nil)
		_, err = svc.Generation(ctx, "web", "9 &?")
		equal(t, "no such generation", err.Error(), "generation 9 &? is not known")
	})
}
