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
