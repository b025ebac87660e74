package flow

import (
	"context"
	"iter"
	"sync"
	"time"
)

// streamBacklog is how many results of a stage may wait for a stage that streams from it, beyond
// which the first adds no more jobs.
const streamBacklog = 2000

// inputBuffer is how many items the input may be ahead of the jobs.
const inputBuffer = 64

// intake makes jobs of a stage's items and starts them: items of the input as they come, and those
// that the stage finds itself. It belongs to the stage's own goroutine, the input to a second one.
type intake struct {
	stage *stageRun
	input chan sourced     // nil once it has ended
	gate  *gate            // nil: no rate
	timer <-chan time.Time // for the gate's next turn
	next  int              // the place of the next item
}

// sourced is an item of the input, or why there are no more.
type sourced struct {
	incoming
	err error
}

func newIntake(s *stageRun) *intake {
	in := &intake{stage: s}
	if r := s.spec.Rate; r != nil && r.Limit > 0 && r.Every > 0 && !s.run.runner.replays() && s.run.foresight == nil {
		in.gate = newGate(*r)
	}
	return in
}

// run returns nil when all there was has been added, or when the barrier has opened; else why some
// was not. What is left is dropped.
func (in *intake) run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer stop()
	in.input = make(chan sourced, inputBuffer)
	items, input := in.stage.items(reading), in.input
	reader.Go(func() { feed(reading, items, input) })

	err := in.loop(ctx)
	in.dropRest()
	return err
}

// feed sends the items until ctx ends.
func feed(ctx context.Context, items iter.Seq2[incoming, error], to chan<- sourced) {
	defer close(to)
	for e, err := range items {
		if ctx.Err() != nil { // a list that the end cut short is not to be taken for whole
			return
		}
		select {
		case to <- sourced{e, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (in *intake) loop(ctx context.Context) error {
	s := in.stage
	for {
		if err := in.startDue(ctx); err != nil {
			return in.unlessWhole(err)
		}
		changed := in.changes()
		if found, err := in.takeFound(ctx); err != nil {
			return err
		} else if found {
			continue
		}
		select {
		case next, ok := <-in.open():
			if err := in.take(ctx, next, ok); err != nil {
				return in.unlessWhole(err)
			}
		case <-in.timer:
		case <-changed:
		case <-s.barrier.opened:
			return nil
		case <-ctx.Done():
			return in.unlessWhole(context.Cause(ctx))
		}
		if in.isWhole() && s.frontier == nil {
			return nil
		}
	}
}

// changes is what tells that the frontier has grown.
func (in *intake) changes() <-chan struct{} {
	if in.stage.frontier == nil {
		return nil
	}
	return in.stage.bell.listen()
}

// open is the input, as long as there is room for what comes.
func (in *intake) open() <-chan sourced {
	if in.gate != nil && in.gate.full() {
		return nil
	}
	return in.input
}

// isWhole reports whether nothing is waiting to be added.
func (in *intake) isWhole() bool {
	return in.input == nil && (in.gate == nil || in.gate.queued == 0)
}

// unlessWhole is err, unless all had been added already.
func (in *intake) unlessWhole(err error) error {
	if in.isWhole() && in.stage.frontier == nil {
		return nil
	}
	return err
}

// take handles what the input brought.
func (in *intake) take(ctx context.Context, next sourced, ok bool) error {
	s := in.stage
	switch {
	case !ok && ctx.Err() != nil: // the reader stopped because of that
		return context.Cause(ctx)
	case !ok:
		if err := in.startSample(ctx); err != nil {
			return err
		}
		in.input = nil
		s.mu.Lock()
		s.whole = true
		s.mu.Unlock()
		s.review()
		s.closeInput()
		return nil
	case next.err != nil:
		return next.err
	}
	return in.admit(ctx, next.incoming)
}

// takeFound handles the next item that the stage found itself, if there is one.
func (in *intake) takeFound(ctx context.Context) (bool, error) {
	s := in.stage
	if s.frontier == nil || in.gate != nil && in.gate.full() {
		return false, nil
	}
	it, ok, err := s.frontier.pop()
	if err != nil {
		return false, err
	}
	if !ok {
		return in.nextLevel()
	}
	place := in.nextPlace()
	j, err := s.makers[0].make(it, place, place)
	if err != nil {
		j.fail(err)
		return true, nil
	}
	return true, in.place(ctx, j)
}

// admit makes a job of an item of the input. An item that makes no job is a failure like another.
func (in *intake) admit(ctx context.Context, e incoming) error {
	s := in.stage
	place, err := in.placeOf(e)
	if err != nil {
		return err
	}
	j, err := s.makers[e.task].make(e.item, place, e.indexAt(place))
	if err == nil && s.frontier != nil && !s.frontier.admit(j.hash) {
		return nil
	}
	if s.sample != nil {
		s.sample.offer(sampled{job: j, err: err, hash: j.sampleHash(err)}, nil)
		return nil
	}
	s.add()
	if err != nil {
		j.fail(err)
		return nil
	}
	return in.place(ctx, j)
}

// place starts a job, or puts it into the gate.
func (in *intake) place(ctx context.Context, j *job) error {
	group := ""
	if in.stage.spec.Rate != nil { // also where it does not hold: an item without a group fails
		var err error
		if group, err = j.maker.group(j); err != nil {
			j.fail(err)
			return nil
		}
	}
	if in.gate == nil {
		return in.start(ctx, j)
	}
	in.gate.offer(time.Now(), group, j)
	return nil
}

// startDue starts the jobs whose turn has come, and sets the timer for the next.
func (in *intake) startDue(ctx context.Context) error {
	in.timer = nil
	for in.gate != nil {
		j, wait, ok := in.gate.next(time.Now())
		if !ok {
			return nil
		}
		if j == nil {
			in.timer = time.After(wait)
			return nil
		}
		if err := in.start(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// start submits a job as soon as there is room: in the task set, and with those who stream from here.
func (in *intake) start(ctx context.Context, j *job) error {
	if err := in.stage.awaitRoom(ctx); err != nil {
		j.drop()
		return err
	}
	j.submit()
	return nil
}

// dropRest gives up what was counted and never submitted.
func (in *intake) dropRest() {
	s := in.stage
	if in.gate != nil {
		for _, j := range in.gate.empty() {
			j.drop()
		}
	}
	if s.frontier != nil {
		for range s.frontier.stop() {
			s.drop()
		}
	}
	if s.sample != nil {
		for range s.sample.stop() {
			s.drop()
		}
	}
}

// placeOf is the place of an item: that of the result that it is, or the next one.
func (in *intake) placeOf(e incoming) (int, error) {
	s := in.stage
	if s.follows {
		return e.origin.place, nil
	}
	place := in.nextPlace()
	if s.order == nil {
		return place, nil
	}
	return place, s.order.add(e.origin, place)
}

func (in *intake) nextPlace() int {
	in.next++
	return in.next - 1
}

// awaitRoom waits until one more job may be submitted.
func (s *stageRun) awaitRoom(ctx context.Context) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if s.hasRoom() {
			return nil
		}
		changed := s.bell.listen()
		if s.hasRoom() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// hasRoom keeps to the stage's limit, so that a drain finds no job that is just about to be submitted.
// Jobs that were tried again are left to the task set, which knows whether they wait or run; their
// number is bounded too, and so are the results that wait for slower stages.
func (s *stageRun) hasRoom() bool {
	s.mu.Lock()
	open, again := s.progress.Open, s.again
	s.mu.Unlock()
	if open-again >= s.limit || again >= s.run.runner.window() {
		return false
	}
	count, _ := s.results.size()
	for _, reader := range s.readers {
		if reader.status() == Running && count-reader.takenFrom(s) > streamBacklog {
			return false
		}
	}
	return true
}

func (s *stageRun) takenFrom(from *stageRun) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[from]
}
