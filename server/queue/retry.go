package queue

import (
	"math"
	"slices"
	"time"
)

// The life of a job that is tried again, as far as it differs:
//
//	         WORK_FAIL, _EXCEPTION, timeout, worker lost; attempts are left
//	running ───────────────────────────────────────────────────────────────► scheduled
//	                          GRAB_JOB            the delay is over              │
//	running ◄──────────────────────────── queued ◄───────────────────────────────┘
//
// The delay is one on the monotonic clock; setting the clock does not change it. A submission that joins
// the job does not hasten it.

// retryOf is the rule by which j is tried again, if there is one: its client's, or for a background job
// its function's.
func (s *State) retryOf(j *job) (Retry, bool) {
	r := Retry{}
	if j.task != 0 {
		t := s.tasks.at(j.task)
		r = Retry{Attempts: int(t.attempts), Delay: t.delay, Backoff: t.backoff, MaxDelay: t.maxDelay, Jitter: t.jitter}
	}
	if r.Attempts == 0 && j.background {
		r = s.functionSlab.at(j.function).policy.Retry
	}
	return r, r.Attempts > 0
}

// maxAttempts is how often j is handed out at most; 0: no limit.
func (s *State) maxAttempts(j *job) int {
	if r, ok := s.retryOf(j); ok {
		return r.Attempts
	}
	return max(s.cfg.JobRetries, 0)
}

// attemptFailed says that a running job waits for another attempt instead of ending with what its worker
// reported. Without a rule for retries it never does.
func (s *State) attemptFailed(slot uint32, j *job, p *peer, ev *Report) bool {
	rule, ok := s.retryOf(j)
	if !ok {
		return false
	}
	if ev.Kind == Exception {
		s.noteLoss(j, reasonException, ev.Data)
	} else {
		s.noteLoss(j, reasonFailed, nil)
	}
	if !j.wanted() || int(j.attempts) >= rule.Attempts {
		return false
	}
	s.detach(slot, j)
	s.counters.Tried.Failures++
	s.tryAgain(slot, j, rule)
	s.gate(p, s.changeRecord(j))
	return true
}

// tryAgain lets a job in no state wait for its next attempt.
func (s *State) tryAgain(slot uint32, j *job, rule Retry) {
	s.counters.Tried.Retries++
	s.waitFor(slot, j, s.delay(rule, int(j.attempts)))
}

// waitFor makes a job ready after a while.
func (s *State) waitFor(slot uint32, j *job, wait time.Duration) {
	if wait <= 0 {
		s.enqueue(slot, j, true)
		s.wake(s.functionSlab.at(j.function), s.cfg.WakeUp)
		return
	}
	elapsed := s.elapsed()
	s.retries.add(slot, j.serial, later(elapsed, wait))
	s.functionSlab.at(j.function).scheduled[j.priority]++
	j.state, j.retrying, j.since = Scheduled, true, elapsed
}

// delay is the one after so many attempts.
func (s *State) delay(rule Retry, attempts int) time.Duration {
	backoff, limit := rule.Backoff, rule.longest()
	if backoff == 0 {
		backoff = defaultBackoff
	}
	d := float64(rule.Delay) * math.Pow(backoff, float64(max(attempts-1, 0)))
	if d = min(d, float64(limit)); rule.Jitter > 0 {
		d *= 1 + min(rule.Jitter, 1)*(2*s.random.Float64()-1)
	}
	return time.Duration(min(d, float64(limit)))
}

func (r Retry) longest() time.Duration {
	if r.MaxDelay == 0 {
		return defaultMaxDelay
	}
	return r.MaxDelay
}

// lateRun is an attempt that was taken from a worker, whose result is welcome all the same.
type lateRun struct {
	serial uint64
	number uint32 // as the worker knows it; 0: it does not
}

// rememberLate notes that the result of a's attempt is welcome.
func (s *State) rememberLate(j *job, a *attempt) {
	asked := j.task != 0 && s.tasks.at(j.task).acceptLate
	if !asked && s.functionSlab.at(j.function).policy.Late != LateTaken {
		return
	}
	p := a.worker
	if len(p.welcome) >= maxLate {
		p.welcome = slices.Delete(p.welcome, 0, 1)
	}
	run := lateRun{serial: j.serial}
	if a.numbered {
		run.number = a.number
	}
	p.welcome = append(p.welcome, run)
}

// takeLate completes a job with the result of an earlier attempt, if that is welcome and the first one.
// A worker that has the job is told to stop.
func (s *State) takeLate(p *peer, run lateRun, ev *Report) bool {
	i := slices.Index(p.welcome, run)
	if i < 0 || ev.Kind < Complete {
		return false
	}
	p.welcome = slices.Delete(p.welcome, i, i+1)
	slot := s.find(run.serial)
	if slot == 0 || ev.Kind != Complete {
		return false
	}
	j := s.jobs.at(slot)
	if j.state == Running {
		s.tellCancelled(j, s.attempts.at(j.attempt), reasonCancelled)
	}
	s.counters.Tried.LateTaken++
	s.complete(slot, j, p, ev)
	return true
}
