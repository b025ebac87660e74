package gearman

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// settled is how long a connection must live before its end counts as news, and not as one more
// failure of the server that the delays between dials go on growing for.
const settled = time.Second

// session is a client's dealings with one server, over one link after the other. It has a goroutine
// from its first use until the link ends with nothing outstanding, or the client is closed.
//
//	        offer              dialled      link lost, nothing outstanding
//	idle ──────────► connecting ───────► up ─────────────────────────────────────► idle
//	                    │ refused      │    ╲ SHUTTING_DOWN
//	                    │              │     ▼
//	                    └───► down ◄───┴── leaving
//	                            └── dialled again, with growing delays ──► up
//
// While it is down it takes no submissions; the client offers them to the next server.
type session struct {
	client *Client
	server string // as configured

	mu      sync.Mutex // guards the fields below; a link's lock may be taken inside it
	state   sessionState
	link    *link         // while up or leaving
	changed chan struct{} // closed and replaced at each change of state
	err     error         // why it is down
	seq     uint64        // submissions and questions so far

	waiting   []*submission        // taken while connecting, to be sent as soon as the link is there
	undecided []*submission        // as waiting, until the server has said whether it knows the extension
	probing   []*submission        // to be joined if the server knows the key
	unnamed   []*submission        // sent, in order; JOB_CREATED or ERROR has yet to come
	jobs      map[string]*audience // by handle
	questions map[question][]asked // sent; first asked, first answered
	asked     []request            // the questions in their order; those that are answered leave with the ones before them
	options   []string             // OPTION_REQs sent and not answered, in order
	extended  bool                 // the server granted protocol.OptionTasks
	said      bool                 // LEAVE_JOB, on this link
	warned    bool                 // that it does not do all that tasks ask for
}

type sessionState uint8

const (
	idle sessionState = iota
	connecting
	up
	leaving // the link is up, but the server takes no new jobs
	down
)

// question identifies a request by what its answer repeats: STATUS_RES the handle, and so on.
type question struct {
	answer protocol.Type
	about  string // the answer's first argument; FIND_RES: its first two, with a NUL between them
}

// request is a question that was sent.
type request struct {
	question
	seq uint64
}

// asked is who waits for the answer to a question.
type asked struct {
	seq uint64
	fn  answers
}

// answers is called once, by the session's goroutine; it must not wait. The packet is zero when there
// is an error; its arguments are valid during the call only.
type answers func(p protocol.Packet, err error)

func newSession(c *Client, server string) *session {
	return &session{client: c, server: server, changed: make(chan struct{})}
}

// offer gives the session a submission, unless it is down. The link is for the caller to wait for
// its room; it is nil when there is none yet.
func (s *session) offer(sub *submission) (l *link, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case up:
		s.sendLocked(sub)
		return s.link, true
	case idle:
		if !s.startLocked() {
			return nil, false
		}
		fallthrough
	case connecting:
		s.waiting = append(s.waiting, sub)
		return nil, true
	}
	return nil, false
}

// ask sends a request and has fn called with its answer, or with the reason why none comes. Without
// args its one argument is what the question is about. It does not wait; it fails unless the session
// is up.
func (s *session) ask(q question, t protocol.Type, fn answers, args ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != up && s.state != leaving {
		return ErrConnectionLost
	}
	return s.askLocked(q, t, fn, args...)
}

func (s *session) askLocked(q question, t protocol.Type, fn answers, args ...[]byte) error {
	if len(args) == 0 {
		args = [][]byte{[]byte(q.about)}
	}
	s.seq++
	s.questions[q] = append(s.questions[q], asked{s.seq, fn})
	s.asked = append(s.asked, request{q, s.seq})
	return s.postLocked(t, args...)
}

// ready waits until the session is up, and starts it if it is idle. It fails when a dial has failed,
// now or last.
func (s *session) ready(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.state == idle && !s.startLocked() {
			s.mu.Unlock()
			return ErrClosed
		}
		state, err, changed := s.state, s.err, s.changed
		s.mu.Unlock()
		switch state {
		case up, leaving:
			return nil
		case down:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// extension waits until the session is up and reports whether its server knows protocol.OptionTasks.
// It fails as ready does.
func (s *session) extension(ctx context.Context) (bool, error) {
	for {
		if err := s.ready(ctx); err != nil {
			return false, err
		}
		s.mu.Lock()
		decided := !slices.Contains(s.options, protocol.OptionTasks)
		granted, changed := s.extended, s.changed
		s.mu.Unlock()
		if decided {
			return granted, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// trouble is why the session is down, nil if it is not.
func (s *session) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != down && s.state != leaving {
		return nil
	}
	return s.err
}

// startLocked begins to dial. It reports false when the client is closed.
func (s *session) startLocked() bool {
	if !s.client.start(s.run) {
		return false
	}
	s.enterLocked(connecting, nil)
	return true
}

func (s *session) enterLocked(state sessionState, err error) {
	s.state, s.err = state, err
	close(s.changed)
	s.changed = make(chan struct{})
}

// run is the session's goroutine.
func (s *session) run() {
	ctx, delays := s.client.ctx, redials()
	for {
		l, err := s.client.dialing.open(ctx, s.server)
		if err == nil {
			began := time.Now()
			err = s.serve(l)
			if time.Since(began) >= settled {
				delays.Reset()
			}
		}
		homeless, needed := s.disconnected(err)
		for _, sub := range homeless {
			sub.lost()
		}
		if !needed || !sleep(ctx, delays.NextBackOff()) {
			return
		}
	}
}

// serve uses the link until it ends and returns the reason.
func (s *session) serve(l *link) error {
	stop := context.AfterFunc(s.client.ctx, func() { l.end(ErrClosed) })
	defer stop()
	s.connected(l)
	s.client.unpark()
	return fmt.Errorf("connection to %s ended: %w", s.server, l.close(s.read(l)))
}

// connected makes the session up and sends what has waited for that.
func (s *session) connected(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == down {
		s.client.log.Info("job server is back", "server", s.server)
	}
	s.link, s.jobs, s.questions = l, make(map[string]*audience), make(map[question][]asked)
	s.options = []string{protocol.OptionExceptions, protocol.OptionTasks}
	for _, option := range s.options {
		_ = s.postLocked(protocol.OptionReq, []byte(option)) // the reader learns of a dead link
	}
	for _, sub := range s.waiting {
		s.sendLocked(sub)
	}
	s.waiting = nil
	s.enterLocked(up, nil)
}

// disconnected ends what the link had to do with. It returns the submissions that were under way, in their
// order, and whether the session is to dial again: not after a link that was idle, nor when the
// client is closed.
func (s *session) disconnected(err error) (homeless []*submission, again bool) {
	s.mu.Lock()
	homeless = slices.Concat(s.waiting, s.undecided, s.probing, s.unnamed)
	for _, j := range s.jobs {
		homeless = append(homeless, j.waiting...)
	}
	slices.SortFunc(homeless, func(a, b *submission) int { return cmp.Compare(a.seq, b.seq) })
	questions := slices.Collect(maps.Values(s.questions))
	wasUp := s.state == up || s.state == leaving
	again = s.client.ctx.Err() == nil && !(s.state == up && len(homeless) == 0)
	s.link, s.waiting, s.undecided, s.probing, s.unnamed, s.jobs = nil, nil, nil, nil, nil, nil
	s.questions, s.asked, s.options, s.extended, s.said = nil, nil, nil, false, false
	before := s.state
	if again {
		s.enterLocked(down, err)
	} else {
		s.enterLocked(idle, nil)
	}
	s.mu.Unlock()

	if again && before != down {
		s.client.log.Warn("job server is down", "server", s.server, "error", err, "tasks", len(homeless), "was_connected", wasUp)
	}
	for _, fns := range questions {
		for _, a := range fns {
			a.fn(protocol.Packet{}, fmt.Errorf("%w: %s: %w", ErrConnectionLost, s.server, err))
		}
	}
	return homeless, again
}

// sendLocked submits. A dead link is no error here: its reader gives the submission back.
//
//	plain ──────────────────────────────────────────► old packet
//	extended ──► undecided ──► the server knows it ──► packet of the extension
//	                      └──► it does not ──► old packet, or a question, or later
func (s *session) sendLocked(sub *submission) {
	if sub.dropped.Load() {
		return
	}
	p := sub.task
	wanted := p.attach || p.extended()
	switch {
	case wanted && slices.Contains(s.options, protocol.OptionTasks):
		s.undecided = append(s.undecided, sub)
		return
	case wanted && s.extended:
		sub.extended = true
	case p.attach:
		s.probeLocked(sub)
		return
	case !p.background && p.waitsForTime():
		time.AfterFunc(0, sub.early) // not under the session's lock
		return
	case wanted && !s.warned && p.unkept() != "":
		s.warned = true // once is enough
		s.client.log.Warn("the job server does not know what tasks ask for; they go on without", "server", s.server, "first", p.unkept())
	}
	s.submitLocked(sub)
}

// submitLocked sends the packet that JOB_CREATED or ERROR answers.
func (s *session) submitLocked(sub *submission) {
	s.seq++
	sub.seq = s.seq
	s.unnamed = append(s.unnamed, sub)
	_ = s.link.post(sub.appendTo)
}

// decidedLocked takes the answer to the oldest option that has none, and sends what has waited for it.
func (s *session) decidedLocked(granted bool) {
	option := s.options[0]
	s.options = s.options[1:]
	if option != protocol.OptionTasks {
		return
	}
	s.extended = granted
	s.enterLocked(s.state, s.err) // wakes who waits for it
	undecided := s.undecided
	s.undecided = nil
	for _, sub := range undecided {
		s.sendLocked(sub)
	}
}

func (s *session) postLocked(t protocol.Type, args ...[]byte) error {
	return s.link.post(func(dst []byte) []byte {
		return protocol.AppendPacket(dst, protocol.Request, t, args...)
	})
}

// sleep waits and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
