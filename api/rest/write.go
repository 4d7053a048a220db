package rest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// headerKey names a request, so that it can be repeated.
const headerKey = "Idempotency-Key"

// writeOptions reads the conditions of a write and its key.
func writeOptions(r *http.Request) (api.WriteOptions, error) {
	o := api.WriteOptions{
		IfMatch:     strings.Join(r.Header.Values("If-Match"), ","),
		IfNoneMatch: strings.Join(r.Header.Values("If-None-Match"), ","),
		Key:         r.Header.Get(headerKey),
	}
	return o, o.Validate()
}

// setWriteOptions writes what writeOptions reads.
func setWriteOptions(h http.Header, o api.WriteOptions) {
	for key, value := range map[string]string{"If-Match": quoted(o.IfMatch), "If-None-Match": quoted(o.IfNoneMatch), headerKey: o.Key} {
		if value != "" {
			h.Set(key, value)
		}
	}
}

// quoted puts an ETag that stands alone into the quotes that HTTP wants.
func quoted(list string) string {
	if list == "" || list == "*" || strings.Contains(list, `"`) {
		return list
	}
	return `"` + list + `"`
}

// setETag names the version of job that is in the answer.
func setETag(h http.Header, job api.Job) {
	if job.ETag != "" {
		h.Set("ETag", `"`+job.ETag+`"`)
	}
}

// writeWritten answers a write: 201 for a new job, 202 while it is not yet as safe
// as promised, else 200.
func writeWritten(w http.ResponseWriter, wr api.Written) error {
	h, status := w.Header(), http.StatusOK
	h.Set(headerDurable, fmt.Sprintf("%d/%d", wr.Disks, wr.Wanted))
	setETag(h, wr.Job)
	if wr.Existed {
		h.Set(headerExisted, "true")
	}
	if wr.Created {
		h.Set("Location", fill(pathJob, wr.Job.Name))
		status = http.StatusCreated
	}
	if !wr.Durable() {
		h.Set("Warning", fmt.Sprintf(`199 orch "stored on %d of %d disks; it spreads on, but is lost if those are lost before"`, wr.Disks, wr.Wanted))
		wr.Job.Durability = &api.Durability{Disks: wr.Disks, Wanted: wr.Wanted}
		status = http.StatusAccepted
	}
	return writeJSON(w, status, wr.Job)
}

// getWritten reads all but the job of what writeWritten wrote. An answer that does
// not say how safe the write is counts as not safe.
func getWritten(h http.Header) api.Written {
	wr := api.Written{Existed: h.Get(headerExisted) == "true", Created: h.Get("Location") != "", Wanted: 1}
	disks, wanted, _ := strings.Cut(h.Get(headerDurable), "/")
	d, err1 := strconv.Atoi(disks)
	w, err2 := strconv.Atoi(wanted)
	if err1 == nil && err2 == nil {
		wr.Disks, wr.Wanted = d, w
	}
	return wr
}
