package peer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// Limits of what is explained at once.
const (
	maxStories   = 100  // tasks
	maxSheets    = 16   // auctions whose sheets are asked for
	maxGroups    = 50   // reasons of refusals
	wholeSheet   = 2000 // slots and awards of a sheet that is handed over as a whole
	sheetsListed = 100  // auctions of one slot that a node tells of
)

// Explain tells why tasks are where they are, see api.Service. What comes from
// sheets is left out when their keepers do not answer in time: the records say who
// has a task, since when and why, whoever is dead.
func (p *Peer) Explain(ctx context.Context, name string) (api.Explanation, error) {
	e := api.Explanation{Tasks: []api.TaskStory{}, Refusals: []api.RefusalGroup{}}
	var tasks []api.Task
	id, err := api.ParseTaskID(name)
	if api.ValidJobName(name) {
		id.Job = name
		tasks, err = p.Tasks(ctx, api.TaskFilter{Job: name})
	} else if err == nil {
		tasks = make([]api.Task, 1)
		tasks[0], err = p.Task(ctx, name)
	}
	if err != nil {
		return e, err
	}
	if e.Job, err = p.Job(ctx, id.Job); err != nil {
		return e, err
	}
	slices.SortStableFunc(tasks, func(a, b api.Task) int {
		if waits(a) == waits(b) {
			return 0
		} else if waits(a) {
			return -1
		}
		return 1
	})
	n := min(len(tasks), maxStories)
	tasks, e.Omitted = tasks[:n], len(tasks)-n
	sheets := p.sheetsOf(ctx, tasks)
	slices.SortStableFunc(tasks, func(a, b api.Task) int { return cmp.Compare(a.Index, b.Index) })
	e.Refusals = refusalGroups(tasks, sheets)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	nodes := p.nodes(now)
	w := p.world(nodes, now)
	for _, t := range tasks {
		e.Tasks = append(e.Tasks, p.story(w, nodes, t, sheets[t.Auction]))
	}
	return e, nil
}

// waits says whether a task should have a node, and has none.
func waits(t api.Task) bool {
	return wanted(t) && (t.State == api.Pending || t.State == api.Lost || t.State == api.Failed)
}

// story is what the records say of a task, and how its node won it. Lock held.
func (p *Peer) story(w *World, nodes map[api.NodeID]*nodeView, t api.Task, sheet *api.Sheet) api.TaskStory {
	k := SlotKey{Job: t.Job, Life: t.Life, Slot: t.Index}
	s := api.TaskStory{Task: t, History: p.attempts(k, nodes)}
	a, j := p.index.slot(k), p.index.jobs[t.Job]
	switch {
	case waits(t) && j != nil:
		s.Because = w.whyUnserved(j, a)
	case a != nil:
		s.Because = a.Because
	}
	if sheet == nil || t.Node == "" {
		return s
	}
	for _, row := range sheet.Awards {
		if row.Slot == t.Index && row.Epoch == t.Epoch && row.Node == t.Node && row.Outcome == "accepted" {
			s.Award = &row
		}
	}
	return s
}

// attempts is the history of a slot with its last attempt. Lock held.
func (p *Peer) attempts(k SlotKey, nodes map[api.NodeID]*nodeView) []api.Attempt {
	out := append([]api.Attempt{}, p.past[k]...)
	if a := p.index.slot(k); a != nil {
		last := attemptOf(a)
		if v := nodes[a.Owner()]; last.Ended == "" && v != nil && !v.Alive {
			last.Ended, last.Until = "lost", timeOrNil(v.AbsentSince)
		}
		out = append(out, last)
	}
	for i := range out {
		out[i].NodeName = nameOf(nodes, out[i].Node)
	}
	return out
}

// sheetsOf asks for the sheets of the auctions of tasks, of the first so many; those
// that do not come in time are left out.
func (p *Peer) sheetsOf(ctx context.Context, tasks []api.Task) map[string]*api.Sheet {
	ctx, cancel := context.WithTimeout(ctx, dataWait)
	defer cancel()
	out := map[string]*api.Sheet{}
	var mu sync.Mutex // guards out
	var asking sync.WaitGroup
	asked := map[string]bool{}
	for _, t := range tasks {
		if t.Auction == "" || asked[t.Auction] || len(asked) == maxSheets {
			continue
		}
		asked[t.Auction] = true
		asking.Go(func() {
			sheet, err := p.lastSheet(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				out[t.Auction] = &sheet
			}
		})
	}
	asking.Wait()
	return out
}

// refusalGroups is why tasks that wait have no node, nodes and tasks with the same
// reason together.
func refusalGroups(tasks []api.Task, sheets map[string]*api.Sheet) []api.RefusalGroup {
	waiting := map[string][]int{} // by auction
	var order []string
	for _, t := range tasks {
		if waits(t) && sheets[t.Auction] != nil {
			if waiting[t.Auction] == nil {
				order = append(order, t.Auction)
			}
			waiting[t.Auction] = append(waiting[t.Auction], t.Index)
		}
	}
	out := []api.RefusalGroup{}
	add := func(g api.RefusalGroup, node string) {
		at := slices.IndexFunc(out, func(o api.RefusalGroup) bool {
			return o.Asked == g.Asked && o.Reason == g.Reason && slices.Equal(o.Slots, g.Slots)
		})
		if at < 0 && len(out) < maxGroups {
			at, out = len(out), append(out, g)
		}
		if at >= 0 {
			out[at].Nodes = append(out[at].Nodes, node)
		}
	}
	for _, id := range order {
		slots := waiting[id]
		for _, b := range sheets[id].Bids {
			if r := b.Refusal; r != nil {
				add(api.RefusalGroup{Slots: slots, Asked: true, Code: r.Code, Reason: r.Reason, Retry: r.Retry, After: r.After}, cmp.Or(b.NodeName, b.Node.Short()))
			}
		}
		for _, n := range sheets[id].NotAsked {
			add(api.RefusalGroup{Slots: slots, Code: n.Code, Reason: n.Reason}, cmp.Or(n.NodeName, n.Node.Short()))
		}
	}
	return out
}

// Auction returns a task's sheet or an earlier one of its slot, see api.Service.
func (p *Peer) Auction(ctx context.Context, id string, back int) (api.Sheet, error) {
	t, err := p.Task(ctx, id)
	if err != nil {
		return api.Sheet{}, err
	}
	if back > 0 {
		return p.earlierSheet(ctx, t, back)
	}
	if t.Auction == "" {
		return api.Sheet{}, api.Errorf(api.AuctionExpired, "task %s has not been auctioned yet", id)
	}
	return p.lastSheet(ctx, t)
}

// lastSheet is the sheet of the auction that t names.
func (p *Peer) lastSheet(ctx context.Context, t api.Task) (api.Sheet, error) {
	k := SlotKey{Job: t.Job, Life: t.Life, Slot: t.Index}
	p.mu.Lock()
	keeper, now := p.id, time.Now()
	nodes := p.nodes(now)
	a := p.index.slot(k)
	if a != nil && a.Auction == t.Auction {
		keeper = a.Auctioneer
	} else if ranks := Ranks(t.Job, p.world(nodes, now).Nodes); len(ranks) > 0 && p.memory[k].sheet() != t.Auction {
		keeper = ranks[0]
	}
	name := nameOf(nodes, keeper)
	p.mu.Unlock()
	sheet, err := p.sheetAt(ctx, keeper, t.Auction, t.Index)
	if api.CodeOf(err) == api.NodeUnreachable {
		err = api.Errorf(api.AuctionExpired, "the sheet of auction %s is gone with node %s, which held it", t.Auction, name)
	}
	return sheet, err
}

func (m *Memory) sheet() string {
	if m == nil {
		return ""
	}
	return m.Sheet
}

// sheetAt asks a node for a sheet.
func (p *Peer) sheetAt(ctx context.Context, keeper api.NodeID, id string, slot int) (api.Sheet, error) {
	var sheet *api.Sheet
	err := p.askNode(ctx, keeper, question{Op: "sheet", ID: id, Slot: slot}, func(a answer) error {
		sheet = a.Sheet
		return nil
	})
	if err == nil && sheet == nil {
		err = api.Errorf(api.AuctionExpired, "the sheet of auction %s is gone", id)
	}
	if err != nil {
		return api.Sheet{}, err
	}
	return *sheet, nil
}

// serveSheet hands over a sheet: what is of other slots too, unless that is too much
// for a message.
func (p *Peer) serveSheet(q question) answer {
	s, ok := p.auctioneer.Sheets().Get(q.ID)
	if !ok {
		return answer{Error: api.Errorf(api.AuctionExpired, "node %s no longer has the sheet of auction %s", p.cfg.Name, q.ID)}
	}
	if len(s.Slots)+len(s.Awards) > wholeSheet {
		s = bidding.About(s, q.Slot)
	}
	return answer{Sheet: &s}
}

// heldAuction is an auction about a slot, and who has its sheet.
type heldAuction struct {
	ID   string     `json:"id"`
	At   time.Time  `json:"at"`
	Node api.NodeID `json:"node"`
}

// serveAuctions lists the auctions about a slot that this node has sheets of.
func (p *Peer) serveAuctions(q question) answer {
	var out []heldAuction
	for _, s := range p.auctioneer.Sheets().Of(q.Job, q.Life, q.Slot) {
		if len(out) < sheetsListed {
			out = append(out, heldAuction{s.ID, s.StartedAt, p.id})
		}
	}
	return answer{Auctions: out}
}

// earlierSheet is the sheet of an auction about t's slot, so many before the last,
// of those that any live node still has.
func (p *Peer) earlierSheet(ctx context.Context, t api.Task, back int) (api.Sheet, error) {
	var mu sync.Mutex // guards all
	var all []heldAuction
	var asking sync.WaitGroup
	for _, id := range append(p.alivePeers(), p.host.ID()) {
		asking.Go(func() {
			q := question{Op: "auctions", Job: t.Job, Life: t.Life, Slot: t.Index}
			_ = p.askNode(ctx, nodeID(id), q, func(a answer) error {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, a.Auctions...)
				return nil
			}) // what a node that does not answer has, is not had
		})
	}
	asking.Wait()
	slices.SortFunc(all, func(a, b heldAuction) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	last := slices.IndexFunc(all, func(h heldAuction) bool { return h.ID == t.Auction }) // -1: its sheet is gone, and all others are earlier
	if last+back >= len(all) {
		return api.Sheet{}, api.Errorf(api.AuctionExpired, "no auction of %s that is %d before the last is known any more", t.ID, back)
	}
	h := all[last+back]
	return p.sheetAt(ctx, h.Node, h.ID, t.Index)
}
