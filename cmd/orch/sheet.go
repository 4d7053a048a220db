package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// taskLine says where t is, since when, and why: because is the reason of its
// auction.
func taskLine(t api.Task, because string, now time.Time) string {
	at := changedAt(t)
	when := ""
	if !at.IsZero() {
		when = fmt.Sprintf(" since %s (%s)", at.In(now.Location()).Format(clockOf(now, at)), since(now, at))
	}
	line := t.Attempt
	switch {
	case t.Node == "":
		line += " " + string(t.State) + when
	case t.State == api.Running:
		line += " on " + cmp.Or(t.NodeName, t.Node.Short()) + when
	default:
		line += " " + string(t.State) + " on " + cmp.Or(t.NodeName, t.Node.Short()) + when
	}
	switch {
	case because == "" || t.Node == "":
	case t.Stays != "" && t.Epoch == 1: // it is the first placement
		return line + ", " + because + "; it " + t.Stays
	case t.Stays != "":
		return line + ", because " + because + "; it " + t.Stays
	case t.Epoch == 1 && t.State != api.Lost && (t.Reason == "" || t.Reason == because):
		return line + ", " + because // it is the first placement
	case t.Reason == "" || t.Reason == because:
		return line + ", because " + because
	default:
		return line + ", because " + because + " (" + t.Reason + ")"
	}
	if t.Reason != "" {
		line += ": " + t.Reason
	}
	return line
}

// clockOf leaves the date out of what is of the same day.
func clockOf(now, t time.Time) string {
	if t.In(now.Location()).Format(time.DateOnly) == now.Format(time.DateOnly) {
		return time.TimeOnly
	}
	return time.DateTime
}

// sheetLines are the protocol of an auction, as it went for one slot; -1 is for
// all of them.
func sheetLines(s api.Sheet, slot int) []string {
	lines := []string{fmt.Sprintf("auction %s by %s, %s, asked %d of %d, %s ms (call %s, award %s)      score = weighted mean, each term 0..1",
		s.ID, cmp.Or(s.AuctioneerName, s.Auctioneer.Short()), count(len(s.Slots), "slot"), len(s.Bids), s.Known,
		number(s.TotalMS), number(s.CallMS), number(s.AwardMS))}
	lines = append(lines, bidTable(s, slot).lines()...)
	lines = append(lines, awardLines(s, slot)...)
	var not []string
	for _, n := range s.NotAsked {
		not = append(not, cmp.Or(n.NodeName, n.Node.Short())+" "+n.Reason)
	}
	if len(not) > 0 {
		lines = append(lines, "not asked: "+strings.Join(not, ", "))
	}
	return lines
}

func printLines(out io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, clean(line)); err != nil {
			return err
		}
	}
	return nil
}

// bidTable has a row for each node that was asked, and a column for each term.
func bidTable(s api.Sheet, slot int) *table {
	columns := termNames(s.Bids)
	t := &table{header: []string{"NODE", "RESULT", "SCORE"}}
	for _, term := range columns {
		name := strings.ToUpper(term.Name)
		if term.Weight != 1 {
			name += "×" + strconv.FormatFloat(term.Weight, 'g', -1, 64)
		}
		t.header = append(t.header, name)
	}
	t.header = append(t.header, "NOTE")
	for place, b := range s.Bids {
		result, score := bidResult(s, slot, place)
		row := []string{cmp.Or(b.NodeName, b.Node.Short()), result, score}
		for _, term := range columns {
			row = append(row, termValue(b.Terms, term.Name))
		}
		t.add(append(row, bidNote(b))...)
	}
	return t
}

// termNames is every term that occurs, in the order of the first bid with it.
func termNames(bids []api.SheetBid) []api.Term {
	var names []api.Term
	for _, b := range bids {
		for _, t := range b.Terms {
			if !slices.ContainsFunc(names, func(o api.Term) bool { return o.Name == t.Name }) {
				names = append(names, t)
			}
		}
	}
	return names
}

func termValue(terms []api.Term, name string) string {
	for _, t := range terms {
		if t.Name == name {
			return fmt.Sprintf("%.2f", t.Value)
		}
	}
	return "-"
}

// bidResult is what became of the bid at a place, and its score: that of the
// award if it won.
func bidResult(s api.Sheet, slot, place int) (result, score string) {
	b := s.Bids[place]
	won := 0
	for _, row := range s.Awards {
		if row.Node != b.Node || (slot >= 0 && row.Slot != slot) {
			continue
		}
		if row.Outcome == "accepted" {
			won++
			score = fmt.Sprintf("%.3f", row.Score)
		} else if result == "" {
			result = row.Outcome + " the award"
		}
	}
	switch {
	case won > 1:
		result = fmt.Sprintf("won %d", won)
	case won == 1:
		result = "won"
	case result == "" && len(b.Scores) == 0:
		result = "refused"
	case result == "":
		result = ordinal(place + 1)
	}
	switch {
	case len(b.Scores) == 0:
		score = "-"
	case won != 1:
		score = fmt.Sprintf("%.3f", b.Scores[0])
	}
	return result, score
}

// ordinal is "1st", "2nd", "23rd".
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// bidNote is what the node added in words.
func bidNote(b api.SheetBid) string {
	var notes []string
	for _, t := range b.Terms {
		if t.Note != "" {
			notes = append(notes, t.Note)
		}
	}
	if b.StopFirst {
		notes = append(notes, "would first stop its old copy")
	}
	if b.Refusal != nil {
		why := b.Refusal.Reason + retryText(b.Refusal)
		if len(b.Scores) > 0 {
			why = fmt.Sprintf("no more than %d: %s", len(b.Scores), why)
		}
		notes = append(notes, why)
	}
	return strings.Join(notes, "; ")
}

// awardLines tells of awards what the table cannot: several of them, and those that
// were not accepted.
func awardLines(s api.Sheet, slot int) []string {
	var lines []string
	awards := slices.DeleteFunc(slices.Clone(s.Awards), func(a api.SheetRow) bool { return slot >= 0 && a.Slot != slot })
	if slot >= 0 && len(awards) == 1 && awards[0].Outcome == "accepted" {
		return nil
	}
	for i, a := range awards {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("… and %s", count(len(awards)-i, "further award")))
			break
		}
		line := fmt.Sprintf("award %s.%d@%d to %s %.3f", s.Job, a.Slot, a.Epoch, cmp.Or(a.NodeName, a.Node.Short()), a.Score)
		if a.RunnerUp != "" {
			line += fmt.Sprintf(" before %s %.3f", cmp.Or(a.RunnerUpName, a.RunnerUp.Short()), a.RunnerUpScore)
		}
		line += ": " + a.Outcome + " after " + number(a.TookMS) + " ms"
		if a.Reason != "" {
			line += ", " + a.Reason
		}
		lines = append(lines, line)
	}
	return lines
}
