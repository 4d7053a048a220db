package rest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// Headers of ours. Lists are plain arrays, so what is said of an answer as a
// whole has its place here.
const (
	headerNode    = "Orch-Node"    // who answers: "vps1;id=8Qm3vT4k"
	headerView    = "Orch-View"    // how much it sees: "alive=2, known=3, synced, isolated"
	headerDurable = "Orch-Durable" // disks that have the write, of how many it takes: "3/3"
	headerExisted = "Orch-Existed" // "true": nothing was written, it was so already
)

// setView puts v into the headers of an answer.
func setView(h http.Header, v api.View) {
	h.Set(headerNode, v.Name+";id="+v.Node.Short())
	text := fmt.Sprintf("alive=%d, known=%d", v.Alive, v.Known)
	if v.Synced {
		text += ", synced"
	}
	if v.Isolated {
		text += ", isolated"
	}
	h.Set(headerView, text)
}

// getView reads what setView wrote; words it does not know are skipped. Node is
// the short id. It is false for an answer of something else than orch.
func getView(h http.Header) (api.View, bool) {
	name, id, ok := strings.Cut(h.Get(headerNode), ";id=")
	if !ok {
		return api.View{}, false
	}
	v := api.View{Node: api.NodeID(id), Name: name}
	for word := range strings.SplitSeq(h.Get(headerView), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		switch key {
		case "alive":
			v.Alive, _ = strconv.Atoi(value)
		case "known":
			v.Known, _ = strconv.Atoi(value)
		case "synced":
			v.Synced = true
		case "isolated":
			v.Isolated = true
		}
	}
	return v, true
}

// setWritten puts all of wr but its job into the headers of an answer.
func setWritten(h http.Header, wr api.Written) {
	h.Set(headerDurable, fmt.Sprintf("%d/%d", wr.Disks, wr.Wanted))
	if wr.Existed {
		h.Set(headerExisted, "true")
	}
	if !wr.Durable() {
		h.Set("Warning", fmt.Sprintf(`199 orch "stored on %d of %d disks; it spreads on, but is lost if those are lost before"`, wr.Disks, wr.Wanted))
	}
	setETag(h, wr.Job)
}

// getWritten reads what setWritten wrote. An answer that does not say how safe
// the write is counts as not safe.
func getWritten(h http.Header) api.Written {
	wr := api.Written{Existed: h.Get(headerExisted) == "true", Wanted: 1}
	disks, wanted, _ := strings.Cut(h.Get(headerDurable), "/")
	d, err1 := strconv.Atoi(disks)
	w, err2 := strconv.Atoi(wanted)
	if err1 == nil && err2 == nil {
		wr.Disks, wr.Wanted = d, w
	}
	return wr
}

// setETag names the version of job that is in the answer.
func setETag(h http.Header, job api.Job) {
	if job.ETag != "" {
		h.Set("ETag", `"`+job.ETag+`"`)
	}
}
