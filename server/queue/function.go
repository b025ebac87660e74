package queue

import (
	"github.com/geartrain/geartrain/gearman/protocol"
)

// function is what is known about one function, as long as anything refers to it: a job, a worker,
// a limit, or someone who created it.
type function struct {
	id       uint32
	name     []byte
	policy   Policy
	created  bool
	paused   bool // nothing of it is handed out
	maxQueue [priorities]int

	queues    [priorities]queue // ready jobs
	scheduled [priorities]int   // jobs that wait for their time, which are among the timers
	pending   [priorities]int   // jobs that wait for their record
	running   [priorities]int
	results   int

	workers  int
	idle     [priorities]abilities // of workers that do not look here, since there was nothing
	sleepers abilities             // of workers that may be asleep, in the order of their going to sleep
	owed     int                   // workers that had a NOOP for this function and have not grabbed since
}

// jobs is how many jobs the function has.
func (f *function) jobs() int { return f.waiting() + f.taken() }

// jobsAt is how many jobs of a priority the function has.
func (f *function) jobsAt(p Priority) int { return f.waitingAt(p) + f.running[p] }

// taken is how many jobs workers have.
func (f *function) taken() int { return f.running[High] + f.running[Normal] + f.running[Low] }

func (f *function) waiting() int {
	n := 0
	for p := range Priority(priorities) {
		n += f.waitingAt(p)
	}
	return n
}

func (f *function) waitingAt(p Priority) int { return f.queues[p].n + f.scheduled[p] + f.pending[p] }

// deferred is how many wait for their time.
func (f *function) deferred() int { return f.scheduled[High] + f.scheduled[Normal] + f.scheduled[Low] }

func (f *function) ready() int { return f.queues[High].n + f.queues[Normal].n + f.queues[Low].n }

// functionFor finds a function or makes it known. If a limit forbids that, p is told (unless it is
// nobody) and there is none.
func (s *State) functionFor(p *peer, name []byte) *function {
	if f := s.functions[string(name)]; f != nil {
		return f
	}
	if len(name) == 0 {
		s.refuse(p, protocol.CodeInvalidPacket, "Function name is empty", &s.counters.Refused.FunctionName)
		return nil
	}
	if limit := s.cfg.MaxFunctionName; limit > 0 && len(name) > limit {
		s.refuse(p, protocol.CodeArgumentTooLarge, "Function name is too long", &s.counters.Refused.FunctionName)
		return nil
	}
	if limit := s.cfg.MaxFunctions; limit > 0 && len(s.functions) >= limit {
		s.refuse(p, protocol.CodeLimit, "Too many functions", &s.counters.Refused.Functions)
		return nil
	}
	return s.newFunction(name)
}

func (s *State) newFunction(name []byte) *function {
	id, f := s.functionSlab.add()
	f.id, f.name = id, append([]byte(nil), name...)
	f.policy = s.cfg.policyFor(string(name))
	s.functions[string(name)] = f
	return f
}

// release forgets a function that nothing refers to any more. So names that were used once do not
// gather.
func (s *State) release(f *function) {
	if f.created || f.paused || f.results > 0 || f.workers > 0 || f.maxQueue != [priorities]int{} || f.jobs() > 0 {
		return
	}
	delete(s.functions, string(f.name))
	s.functionSlab.drop(f.id)
}
