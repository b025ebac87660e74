package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/geartrain/geartrain/flow"
)

// How often progress is drawn or said.
const (
	redrawEvery  = 100 * time.Millisecond // a live block: at most ten redraws a second
	summaryEvery = 10 * time.Second       // plain lines: at most one summary of a stage in this time
	barCells     = 10
)

// progress shows how far a run is on standard error: a live block on a terminal, plain lines
// elsewhere. Nothing it writes contains a result.
//
//	watch ──► every redrawEvery: look at the stages ──► live: one bar for each active stage
//	   │                                            └─► plain: a line at each change of state
//	   └── stop: the last state is said, then nothing more is written
type progress struct {
	look func() []flow.StageProgress
	show display
	done chan struct{}
	once sync.Once      // of stop
	idle sync.WaitGroup // the watching goroutine
}

// display is one way to show the stages. Its methods are called by one goroutine.
type display interface {
	update(now time.Time, stages []flow.StageProgress)
	close()
}

// watchProgress starts to show what look returns, until stop is called.
func watchProgress(show display, look func() []flow.StageProgress) *progress {
	p := &progress{look: look, show: show, done: make(chan struct{})}
	p.idle.Go(func() {
		ticker := time.NewTicker(redrawEvery)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				p.show.update(now, p.look())
			case <-p.done:
				return
			}
		}
	})
	return p
}

// stop shows the last state and returns when nothing more will be written. It may be called again.
func (p *progress) stop() {
	p.once.Do(func() {
		close(p.done)
		p.idle.Wait()
		p.show.update(time.Now(), p.look())
		p.show.close()
	})
}

// newDisplay chooses: nothing when quiet, a live block on a terminal that can show one, else lines.
func newDisplay(c *console, quiet, noLive bool) display {
	switch {
	case quiet:
		return silent{}
	case !noLive && c.canBeLive():
		return newLiveBlock(c)
	}
	return &plainLines{to: c, said: map[string]saidState{}}
}

// silent shows nothing.
type silent struct{}

func (silent) update(time.Time, []flow.StageProgress) {}
func (silent) close()                                 {}

// plainLines says a line at each change of a stage's state and a summary now and then.
type plainLines struct {
	to   io.Writer
	said map[string]saidState
}

type saidState struct {
	started, ended bool
	at             time.Time
	count          int
}

func (l *plainLines) update(now time.Time, stages []flow.StageProgress) {
	for _, s := range stages {
		said := l.said[s.Stage]
		switch {
		case said.ended || s.Status == flow.Waiting:
			continue
		case s.Status.Ended():
			said.ended = true
			l.say(now, "%s: %s", s.Stage, endedText(s))
		case !said.started:
			said.started, said.at = true, now
			l.say(now, "%s: started", s.Stage)
		case now.Sub(said.at) >= summaryEvery && s.Ended() != said.count:
			l.say(now, "%s: %s", s.Stage, activeText(s, now))
			said.at, said.count = now, s.Ended()
		}
		l.said[s.Stage] = said
	}
}

func (l *plainLines) say(now time.Time, format string, args ...any) {
	fmt.Fprintf(l.to, "%s %s\n", now.Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func (l *plainLines) close() {}

// liveBlock is one bar for each active stage; an ended stage becomes a line that scrolls away, and so
// does what is written to the console meanwhile.
type liveBlock struct {
	console   *console
	plain     io.Writer // where the console writes without a block
	container *mpb.Progress
	bars      map[string]*stageBar
	width     int // of the longest stage name so far
}

type stageBar struct {
	bar *mpb.Bar

	mu    sync.Mutex // guards the following fields, which the drawing goroutine reads
	state flow.StageProgress
	ended bool
}

func newLiveBlock(c *console) *liveBlock {
	b := &liveBlock{
		console:   c,
		container: mpb.New(mpb.WithOutput(c.file), mpb.WithRefreshRate(redrawEvery), mpb.PopCompletedMode(), mpb.WithAutoRefresh()),
		bars:      map[string]*stageBar{},
	}
	b.plain = c.redirect(b.container)
	return b
}

func (b *liveBlock) update(_ time.Time, stages []flow.StageProgress) {
	for _, s := range stages {
		b.width = max(b.width, len(s.Stage))
	}
	for _, s := range stages {
		if s.Status == flow.Waiting {
			continue
		}
		bar, ok := b.bars[s.Stage]
		if !ok {
			bar = &stageBar{state: s}
			bar.bar = b.container.MustAdd(0, mpb.BarFillerFunc(func(w io.Writer, _ decor.Statistics) error {
				return bar.draw(w, b.width)
			}), mpb.BarFillerTrim())
			b.bars[s.Stage] = bar
		}
		bar.set(s)
	}
}

func (b *liveBlock) close() {
	for _, bar := range b.bars {
		if !bar.bar.Completed() {
			bar.bar.Abort(false)
		}
	}
	b.container.Wait()
	b.console.redirect(b.plain)
}

func (s *stageBar) set(state flow.StageProgress) {
	s.mu.Lock()
	s.state = state
	end := state.Status.Ended() && !s.ended
	s.ended = s.ended || end
	s.mu.Unlock()
	if end {
		s.bar.SetTotal(-1, true)
	}
}

func (s *stageBar) draw(w io.Writer, width int) error {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	text := endedText(state)
	if !state.Status.Ended() {
		text = barText(state) + " " + activeText(state, time.Now())
	}
	_, err := fmt.Fprintf(w, "%-*s  %s", width, state.Stage, text)
	return err
}

// barText is the bar itself; while the input is still open its whole length is not known.
func barText(s flow.StageProgress) string {
	full, empty := "█", "░"
	if !utf8Locale() {
		full, empty = "#", "."
	}
	cells := 0
	if s.Added > 0 {
		cells = min(barCells*s.Ended()/s.Added, barCells)
	}
	return strings.Repeat(full, cells) + strings.Repeat(empty, barCells-cells)
}

func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// activeText is a stage under way: ended of added, and what else there is to say.
func activeText(s flow.StageProgress, now time.Time) string {
	open := ""
	if !s.InputClosed {
		open = "+" // more may come
	}
	parts := []string{fmt.Sprintf("%d/%d%s", s.Ended(), s.Added, open)}
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", s.Failed))
	}
	if rate := s.Rate(now); rate > 0 {
		parts = append(parts, fmt.Sprintf("%.3g/s", rate))
		if left := s.Added - s.Ended(); s.InputClosed && left > 0 {
			eta := time.Duration(float64(left) / rate * float64(time.Second))
			parts = append(parts, "ETA "+eta.Round(time.Second).String())
		}
	}
	return strings.Join(parts, "  ")
}

// endedText is a stage that has ended: its status where that is not plain success, its jobs, its time.
func endedText(s flow.StageProgress) string {
	if s.Added == 0 && s.Status != flow.Success {
		return string(s.Status)
	}
	text := fmt.Sprintf("%d jobs done", s.Done)
	if s.Done == 1 {
		text = "1 job done"
	}
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	if s.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped", s.Dropped)
	}
	if s.LeftOut > 0 {
		text += fmt.Sprintf(", %d not in the sample", s.LeftOut)
	}
	if s.Status != flow.Success {
		text = string(s.Status) + ": " + text
	}
	return text + " in " + s.EndedAt.Sub(s.StartedAt).Round(10*time.Millisecond).String()
}
