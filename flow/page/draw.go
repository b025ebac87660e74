package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
)

// Of the bars, in units of their drawing.
const (
	barWidth  = 600
	barHeight = 32
)

// Tick is a mark on the time axis.
type Tick struct {
	Percent float64
	Text    string
}

// ticks are some five round times.
func ticks(begin, end time.Time) []Tick {
	whole := end.Sub(begin)
	step := niceStep(whole / 5)
	var all []Tick
	for at := time.Duration(0); at <= whole*9/10 && len(all) < 20; at += step { // the last one needs room for its text
		all = append(all, Tick{100 * float64(at) / float64(whole), expression.FormatDuration(at)})
	}
	return all
}

// niceStep is a round duration that is not below d.
func niceStep(d time.Duration) time.Duration {
	for unit := time.Millisecond; unit < time.Second; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if n*unit >= d {
				return n * unit
			}
		}
	}
	for _, n := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600} {
		if n*time.Second >= d {
			return n * time.Second
		}
	}
	return (d/(24*time.Hour) + 1) * 24 * time.Hour
}

// Bar is a stage on the time axis.
type Bar struct {
	X, Width              int
	Ran, Answered, Failed string // paths
	Title                 string
}

// Bar is the stage's bar: its time, and in each column how much ended then.
func (p *Page) Bar(s *Stage) Bar {
	x := func(at time.Time) int {
		return min(max(int(float64(barWidth)*float64(at.Sub(p.Begin))/float64(p.End.Sub(p.Begin))), 0), barWidth)
	}
	b := Bar{Title: fmt.Sprintf("%s: %s, %d done, %d failed", plain(s.Stage), s.Status, s.Done, s.Failed)}
	if s.StartedAt.IsZero() {
		return b
	}
	end := p.End
	if !s.EndedAt.IsZero() {
		end = s.EndedAt
	}
	b.X = x(s.StartedAt)
	b.Width = max(x(end)-b.X, 2)
	most := 1
	for i := range columns {
		most = max(most, s.counts[ran][i]+s.counts[answered][i]+s.counts[failed][i])
	}
	var paths [3]strings.Builder
	for i := range columns {
		y := barHeight
		for kind := range paths {
			n := s.counts[kind][i]
			if n == 0 {
				continue
			}
			height := max(n*(barHeight-2)/most, 2)
			y = max(y-height, 0)
			fmt.Fprintf(&paths[kind], "M%d %dh%dv%dh-%dz", i*barWidth/columns, y, barWidth/columns, height, barWidth/columns)
		}
	}
	b.Ran, b.Answered, b.Failed = paths[ran].String(), paths[answered].String(), paths[failed].String()
	return b
}

// Half and Most are how long half of the stage's jobs took at most, and 95 % of them.
func (s *Stage) Half() time.Duration { return s.durations.part(0.5) }

// Most is the time that 95 % of the stage's jobs took at most.
func (s *Stage) Most() time.Duration { return s.durations.part(0.95) }

// Longest is the time of the longest one.
func (s *Stage) Longest() time.Duration { return s.durations.longest }
