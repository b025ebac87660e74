package queue

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// State is a job server's whole state. It is not safe for concurrent use: whoever owns it calls one
// method at a time.
type State struct {
	cfg      Config
	counters Counters
	seed     maphash.Seed
	serial   uint64 // of the last job

	peers     map[Peer]*peer
	peerSlab  slab[peer]
	coming    []*peer // those that are coming, and some that were
	abilities map[edge]*ability

	functions    map[string]*function
	functionSlab slab[function]

	jobs     slab[job]
	attempts slab[attempt]
	seats    slab[seat]
	records  slab[record]
	tasks    slab[task]
	results  slab[result]
	arena    arena
	serials  index
	keys     index

	resultKeys index

	schedule  timers // jobs that wait for a time of day: Unix nanoseconds
	deadlines timers // running jobs with a timeout: nanoseconds after epoch, on the monotonic clock
	retries   timers // jobs that wait for another attempt: the same
	expiries  timers // results: the same
	debts     timers // workers that owe a grab: the same

	random *rand.Rand

	history map[uint64][]LostAttempt // of jobs by serial
	dead    []*deadLetter            // the oldest first

	revivals int // dead letters that are to become jobs

	textBytes int64 // of all jobs: unique, reducer and payload
	deadBytes int64 // the same of dead letters, and their histories

	resultText int64 // of all results, what is at hand
	resultSize int64 // of all results, wherever they are

	seq     uint64    // of the last operation
	unsaid  []unsaid  // ends of jobs that were not stored yet
	awaited []awaited // operations whose end is to be dealt with, in their order

	// While an event is being applied:
	now     time.Time
	epoch   time.Time // of the first event
	out     []Effect
	text    []byte // made for the effects: handles, numbers, words
	expired []uint32
	ops     []Op
	fresh   digest // of the event's payload, if digested
	scratch digest

	digested bool
}

// New makes an empty state.
func New(cfg Config) *State {
	if cfg.HandlePrefix == "" {
		cfg.HandlePrefix = defaultPrefix
	}
	cfg.HandlePrefix = cfg.HandlePrefix[:min(len(cfg.HandlePrefix), maxPrefix)]
	if cfg.WakeUp <= 0 {
		cfg.WakeUp = 1
	}
	if cfg.DeadLetters == 0 {
		cfg.DeadLetters = defaultDeadLetters
	}
	if cfg.DeadLetterBytes == 0 {
		cfg.DeadLetterBytes = defaultDeadBytes
	}
	if cfg.KeepBody == 0 {
		cfg.KeepBody = defaultKeepBody
	}
	if cfg.MaxJobs <= 0 || cfg.MaxJobs > maxSlot {
		cfg.MaxJobs = maxSlot
	}
	s := &State{
		cfg:       cfg,
		serial:    max(cfg.FirstSerial, 1) - 1,
		seed:      maphash.MakeSeed(),
		peers:     map[Peer]*peer{},
		abilities: map[edge]*ability{},
		functions: map[string]*function{},
		history:   map[uint64][]LostAttempt{},
	}
	s.random = rand.New(rand.NewPCG(cfg.Seed, 0))
	s.serials, s.keys, s.resultKeys = newIndex(), newIndex(), newIndex()
	ofJob := func(slot uint32) *uint32 { return &s.jobs.at(slot).timer }
	s.schedule.place, s.deadlines.place, s.retries.place = ofJob, ofJob, ofJob
	s.expiries.place = func(slot uint32) *uint32 { return &s.results.at(slot).timer }
	s.debts.place = func(slot uint32) *uint32 { return &s.peerSlab.at(slot).debt }
	return s
}

// Apply is the only way to change the state. It appends to out what is to be done about ev and
// returns it. It never blocks and never fails half-way: a peer's mistake is an effect of its own.
// Only [Tick] makes time pass; now is the time of every event all the same. Events of peers that
// have not joined are dropped.
func (s *State) Apply(now time.Time, ev Event, out []Effect) []Effect {
	if s.epoch.IsZero() {
		s.epoch = now
	}
	if cap(s.text) > maxText {
		s.text = nil
	}
	s.now, s.out, s.text, s.digested = now, out, s.text[:0], false
	if len(s.ops) > 0 {
		s.forgetOps()
	}
	s.apply(ev)
	out, s.out = s.out, nil
	return out
}

func (s *State) apply(ev Event) {
	switch ev := ev.(type) {
	case *Submit:
		s.submit(ev)
	case *Grab:
		s.grab(ev)
	case *Report:
		s.report(ev)
	case *PreSleep:
		s.preSleep(ev)
	case *CanDo:
		s.canDo(ev)
	case *CantDo:
		s.cantDo(ev)
	case *ResetAbilities:
		if p := s.peer(ev.Peer); p != nil {
			s.resetAbilities(p)
		}
	case *GetStatus:
		s.getStatus(ev)
	case *GetStatusUnique:
		s.getStatusUnique(ev)
	case *SetClientID:
		s.setClientID(ev)
	case *SetOption:
		s.setOption(ev)
	case *Join:
		s.join(ev)
	case *Leave:
		s.leave(ev)
	case *Tick:
		s.tick()
	default:
		s.applyAdmin(ev)
	}
}

func (s *State) applyAdmin(ev Event) {
	switch ev := ev.(type) {
	case *CancelJob:
		s.cancelJob(ev)
	case *CancelKey:
		s.cancelKey(ev)
	case *LeaveJob:
		s.leaveJob(ev)
	case *AttachJob:
		s.attachJob(ev)
	case *FindJob:
		s.findJob(ev)
	case *PauseFunction:
		s.pauseFunction(ev)
	case *ResumeFunction:
		s.resumeFunction(ev)
	case *SetMaxQueue:
		s.setMaxQueue(ev)
	case *CreateFunction:
		s.createFunction(ev)
	case *DropFunction:
		s.dropFunction(ev)
	case *RetryDead:
		s.retryDead(ev)
	case *DropDead:
		s.dropDead(ev)
	case *Committed:
		s.committed(ev.Seq)
	case *NotCommitted:
		s.notCommitted(ev)
	case *BodyLost:
		s.bodyLost(ev)
	}
}

// forgetOps makes room for those of the next event.
func (s *State) forgetOps() {
	clear(s.ops)
	if s.ops = s.ops[:0]; cap(s.ops) > maxOps {
		s.ops = nil
	}
}

// NextDeadline is when the next [Tick] is due; false: not before something else happens. It is never
// more than a minute after the last event while a job waits for a time of day, so that a clock that
// was set is noticed.
func (s *State) NextDeadline() (time.Time, bool) {
	var wait time.Duration
	found := false
	for _, monotonic := range []*timers{&s.deadlines, &s.retries, &s.expiries, &s.debts} {
		if t, ok := monotonic.first(); ok {
			if until := time.Duration(t.at - s.elapsed()); !found || until < wait {
				wait, found = until, true
			}
		}
	}
	if t, ok := s.schedule.first(); ok {
		until := min(time.Duration(t.at-s.now.UnixNano()), clockCheck)
		if !found || until < wait {
			wait = until
		}
		found = true
	}
	return s.now.Add(wait), found
}

// elapsed is how much time has passed on the monotonic clock.
func (s *State) elapsed() int64 { return int64(s.now.Sub(s.epoch)) }

// later is a while after from, or the last moment there is.
func later(from int64, wait time.Duration) int64 {
	if t := from + int64(wait); t >= from {
		return t
	}
	return math.MaxInt64
}

// maxText is how much memory for an event's text is kept for the next one.
const maxText = 64 << 10

// maxOps is for how many operations memory is kept.
const maxOps = 1024

// clockCheck is how long a clock that was set can go unnoticed.
const clockCheck = time.Minute

// send appends a packet for p to the effects.
func (s *State) send(p *peer, t protocol.Type, args ...[]byte) *Effect {
	s.out = append(s.out, Effect{To: p.id, Type: t, N: len(args)})
	e := &s.out[len(s.out)-1]
	copy(e.Args[:], args)
	return e
}

// refuse answers p with ERROR and counts it. If p is nil only that.
func (s *State) refuse(p *peer, code, text string, counter *uint64) {
	*counter++
	if p != nil {
		s.send(p, protocol.Error, s.word(code), s.word(text))
	}
}

// word is text as an effect's argument.
func (s *State) word(text string) []byte {
	start := len(s.text)
	s.text = append(s.text, text...)
	return s.text[start:len(s.text):len(s.text)]
}

// number is n in decimal as an effect's argument.
func (s *State) number(n uint64) []byte {
	start := len(s.text)
	s.text = strconv.AppendUint(s.text, n, 10)
	return s.text[start:len(s.text):len(s.text)]
}

// flag is "1" or "0".
func (s *State) flag(on bool) []byte {
	if on {
		return s.word("1")
	}
	return s.word("0")
}
