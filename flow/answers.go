package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman"
)

// completed, failed, retried and warned are the callbacks of a job's task. Those of one stage run one
// at a time.

func (j *job) completed(r gearman.Result) {
	// Younger than the submission is the job's own, when a lost connection kept it from coming.
	j.kept = r.Age > 0 && r.Age >= time.Since(j.addedAt)
	j.take(r.Payload, r.Attempt)
}

// take makes the job's result of what a worker or a part gave.
func (j *job) take(payload []byte, attempt int) {
	j.stage.completing.Lock()
	defer j.stage.completing.Unlock()
	payload = j.stage.run.runner.Secrets.MaskBytes(payload)
	j.result, j.attempt = payload, attempt
	result, err := j.read(payload)
	if err != nil {
		j.fail(&jobError{"output", fmt.Errorf("result: %w", err)})
		return
	}
	if err := j.discover(result); err != nil {
		j.fail(err)
		return
	}
	j.succeed(result)
}

func (j *job) failed(err error) { j.fail(j.stage.run.runner.Secrets.maskError(err)) }

func (j *job) retried(retry int, err error) {
	s := j.stage
	err = s.run.runner.Secrets.maskError(err)
	s.mu.Lock()
	s.progress.Retries++
	if j.retries == 0 {
		s.again++
	}
	s.mu.Unlock()
	j.retries = retry
	s.bell.ring()
	j.record(j.place, OutcomeRetried, func(to *JobRecord) {
		to.Reason, to.Message, _ = describeFailure(err, s.run.runner.Secrets)
		to.Attempt = retry
	})
	s.report(j, Event{Kind: JobRetried, Place: j.place, Attempt: retry, Err: err})
}

func (j *job) warned(p []byte) {
	j.record(j.place, OutcomeWarned, func(to *JobRecord) { to.Message, to.Attempt = printable(p), j.retries+1 })
	j.stage.report(j, Event{Kind: JobWarning, Place: j.place, Attempt: j.retries + 1, Text: printable(j.stage.run.runner.Secrets.MaskBytes(p))})
}

// succeed gives the result to the job's item and to those that joined it. It is in place before a
// later item can find it.
func (j *job) succeed(result item) {
	s := j.stage
	kept, err := s.keep(result)
	if err == nil {
		err = s.put(j.place, kept)
	}
	if err != nil {
		s.abort(err)
		j.lose()
		return
	}
	j.recordResult()
	twins := s.land(j, answer{place: j.place})
	s.mu.Lock()
	s.progress.Done++
	if j.outcome == OutcomeAnswered || j.kept {
		s.progress.Answered++
	}
	s.mu.Unlock()
	s.report(j, Event{Kind: JobDone, Place: j.place, Attempt: j.retries + 1})
	s.succeedAt(j, twins, kept)
	s.ringReaders()
	s.review()
	s.barrier.end()
	s.bell.ring()
}

// fail ends a job without a result, whether it was submitted or not.
func (j *job) fail(err error) {
	s := j.stage
	if s.isCut(err) {
		j.lose()
		return
	}
	twins := s.land(j, answer{j.place, true})
	s.mu.Lock()
	s.progress.Joined += len(twins)
	s.mu.Unlock()
	s.failAt(j, append([]int{j.place}, twins...), err)
}

// lose ends a job that was cut off by the end of the stage.
func (j *job) lose() {
	j.recordCut()
	for range len(j.stage.land(j, answer{j.place, true})) + 1 {
		j.stage.drop()
	}
}

// isCut reports whether a job ended because the stage's task set was cancelled.
func (s *stageRun) isCut(err error) bool {
	cause := context.Cause(s.jobs)
	return cause != nil && (errors.Is(err, cause) || errors.Is(err, s.jobs.Err()))
}

// land takes a job out of those that are open, and gives those that joined it.
func (s *stageRun) land(j *job, end answer) (twins []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.submitted {
		return nil
	}
	s.progress.Open--
	if j.retries > 0 {
		s.again--
	}
	if s.frontier != nil {
		return nil
	}
	delete(s.flights, j.hash)
	s.known.add(j.hash, end)
	return j.twins
}

// succeedAt gives the result of j, or of a job equal to it, to the items at places that joined it.
func (s *stageRun) succeedAt(j *job, places []int, result []byte) {
	for _, place := range places {
		if err := s.put(place, result); err != nil {
			s.abort(err)
			s.drop()
			continue
		}
		s.mu.Lock()
		s.progress.Done++
		s.progress.Joined++
		s.mu.Unlock()
		j.record(place, OutcomeJoined, func(*JobRecord) {})
		s.report(j, Event{Kind: JobDone, Place: place})
		s.ringReaders()
		s.barrier.end()
	}
}

// failAt records the failure of the items at places, and stops the stage if it is one too many.
func (s *stageRun) failAt(j *job, places []int, err error) {
	secrets := s.run.runner.Secrets
	failure := JobFailure{Item: secrets.MaskBytes(quoteItem(j.item)), Key: j.key}
	failure.Reason, failure.Message, failure.Attempt = describeFailure(err, secrets)
	for _, place := range places {
		failure.Place = place
		s.mu.Lock()
		s.progress.Failed++
		spoolErr := s.failures.add(failure)
		s.mu.Unlock()
		if spoolErr != nil {
			s.abort(spoolErr)
		}
		s.review()
		j.record(place, OutcomeFailed, func(to *JobRecord) {
			to.Reason, to.Message, to.Attempt = failure.Reason, failure.Message, failure.Attempt
		})
		s.report(j, Event{Kind: JobFailed, Place: place, Attempt: failure.Attempt, Err: err})
		s.barrier.end()
	}
	s.bell.ring()
}

// review ends the stage early when it has results enough, or failures too many.
func (s *stageRun) review() {
	if !s.spec.FailFast && s.spec.Wait.isAll() {
		return
	}
	s.mu.Lock()
	p, final := s.progress, s.whole && s.frontier == nil
	s.mu.Unlock()
	switch {
	case !s.spec.Wait.isAll():
		if s.spec.Wait.isMet(p.Done, p.Added, final) {
			s.stop(errEnough)
			s.cancel(errEnough)
		}
	case !s.spec.AllowFailures.allows(p.Failed, p.Added, final):
		s.abort(ErrTooManyFailures)
	}
}

// add counts one more item that is to become a job.
func (s *stageRun) add() {
	s.mu.Lock()
	s.progress.Added++
	s.mu.Unlock()
	s.barrier.add()
}

// drop counts an item out that was added and got no answer.
func (s *stageRun) drop() {
	s.mu.Lock()
	s.progress.Dropped++
	s.mu.Unlock()
	s.barrier.end()
}

// closeInput says that nothing more comes from outside.
func (s *stageRun) closeInput() {
	s.mu.Lock()
	s.progress.InputClosed = true
	s.mu.Unlock()
	s.barrier.close()
}

// snapshot is the progress as of now.
func (s *stageRun) snapshot() StageProgress {
	s.mu.Lock()
	p := s.progress
	s.mu.Unlock()
	p.Waiting = max(0, p.Added-p.Open-p.Ended())
	if s.frontier != nil {
		_, p.Refused = s.frontier.size()
	}
	if s.sample != nil {
		p.LeftOut = s.sample.leftOut()
	}
	return p
}

// report tells readers of events about a job.
func (s *stageRun) report(j *job, e Event) {
	e.Run, e.Stage, e.Key = s.run.id, s.spec.Name, j.key
	s.run.events.report(e)
}

// resultValue reads one kept result.
func (s *stageRun) resultValue(p []byte) (any, error) {
	return s.kept(p).value()
}
