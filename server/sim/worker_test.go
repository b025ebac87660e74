package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// worker does jobs, as well or as badly as its character is.
type worker struct {
	*line
	detail          protocol.Type // which GRAB_JOB
	width           int           // jobs it has at a time
	polls           bool          // it grabs now and then without a NOOP
	numbers         bool          // it knows its attempts by number
	abilities       [][2]string   // functions and their timeouts in milliseconds, "" for none
	bad             int           // of ten jobs it treats as many badly
	held            []*held
	asked, assigned int // grabs without answers, and all assignments
	asleep          bool
	known           []string // handles it was ever given, without numbers
}

// held is a job that a worker has.
type held struct {
	handle string
	about  int
}

func newWorker(w *world) {
	k := &worker{
		detail: pick(w.Rand, protocol.GrabJob, protocol.GrabJobUniq, protocol.GrabJobAll),
		width:  pick(w.Rand, 1, 1, 1, 2, 4),
		polls:  w.chance(4),
		bad:    pick(w.Rand, 0, 1, 3, 7),
	}
	for _, f := range functions {
		if f != "rare" && !w.chance(3) || w.chance(6) {
			k.abilities = append(k.abilities, [2]string{f, pick(w.Rand, "", "", "100", "200", "1000")})
		}
	}
	k.line = w.connect("worker", k)
	if w.chance(2) {
		k.numbers = !w.chance(3)
		if k.numbers {
			k.send(protocol.OptionReq, protocol.OptionAttempts)
		}
		if !k.numbers || w.chance(2) {
			k.send(protocol.OptionReq, protocol.OptionCancel)
		}
	}
	k.register()
	if w.chance(2) {
		k.next()
	} else {
		k.sleep()
	}
	k.later(k.some(3000), k.stir)
}

func (k *worker) register() {
	for _, a := range k.abilities {
		if a[1] == "" {
			k.send(protocol.CanDo, a[0])
		} else {
			k.send(protocol.CanDoTimeout, a[0], a[1])
		}
	}
}

func (k *worker) heal() { k.hangUp() }

// stir is what a worker does out of turn.
func (k *worker) stir() {
	switch k.IntN(8) {
	case 0:
		k.hangUp()
	case 1:
		k.send(protocol.ResetAbilities)
		k.later(k.some(400), k.register)
	case 2:
		f := pick(k.Rand, functions...)
		k.send(protocol.CantDo, f)
		k.later(k.some(400), func() { k.send(protocol.CanDo, f) })
	case 3, 4:
		k.forge()
	}
	k.later(k.some(2000), k.stir)
}

// forge reports on a job that is not the worker's, or not in the way it was assigned. While it waits
// for a job the job could become its own.
func (k *worker) forge() {
	if k.asked > 0 || len(k.handles) == 0 {
		return
	}
	handle := pick(k.Rand, k.handles...)
	switch {
	case !slices.Contains(k.known, handle):
	case k.numbers:
		handle += pick(k.Rand, "", "/99", "/0", "/x")
	default:
		handle = pick(k.Rand, handlePrefix+"999999", handlePrefix, "nonsense", "")
	}
	switch t := pick(k.Rand, protocol.WorkComplete, protocol.WorkFail, protocol.WorkException, protocol.WorkData, protocol.WorkStatus); t {
	case protocol.WorkFail:
		k.send(t, handle)
	case protocol.WorkStatus:
		k.send(t, handle, "7", "7")
	default:
		k.send(t, handle, "forged")
	}
}

func (k *worker) hear(p packet) {
	switch p.typ {
	case protocol.Noop:
		if !k.asleep {
			break // it came while the worker polled
		}
		k.asleep = false
		switch {
		case k.chance(25):
			k.later(k.some(2000), k.next) // it is busy with something else
		case k.chance(40):
			k.sleep()
		case k.chance(40):
			k.hangUp()
		default:
			k.next()
		}
	case protocol.NoJob:
		if k.asked--; k.asked == 0 {
			k.sleep()
		}
	case protocol.JobCancel:
		k.dismiss(p.args[0])
	default:
		if assigns(p.typ) {
			k.take(p)
		}
	}
}

// next grabs for as long as the worker has room.
func (k *worker) next() {
	for len(k.held)+k.asked < k.width {
		k.asked++
		k.asleep = false
		k.send(k.detail)
	}
}

func (k *worker) sleep() {
	k.asleep = true
	k.send(protocol.PreSleep)
	if k.chance(20) {
		k.send(protocol.PreSleep)
	}
	if k.polls {
		k.later(k.some(1000), func() {
			if k.asleep {
				k.next()
			}
		})
	}
}

func (k *worker) take(p packet) {
	k.asked--
	k.assigned++
	h := &held{handle: p.args[0], about: k.assigned}
	k.held = append(k.held, h)
	k.known = append(k.known, p.handle())
	payload := p.args[len(p.args)-1]
	switch {
	case strings.HasPrefix(payload, poison) && !k.chance(10):
		k.hangUp()
	case strings.HasPrefix(payload, loud):
		for range 30 {
			k.later(k.some(100), func() { k.tell(h, protocol.WorkData, k.token()+strings.Repeat("-", 6000)) })
		}
		k.work(h, 110*time.Millisecond)
	case k.IntN(10) < k.bad:
		k.spoil(h)
	default:
		k.work(h, k.some(70))
	}
	k.next()
}

// spoil treats a job badly.
func (k *worker) spoil(h *held) {
	switch k.IntN(5) {
	case 0: // it hangs, and all that it can do is be cancelled or die
		k.later(k.some(4000), k.hangUp)
	case 1:
		k.later(k.some(40), k.hangUp)
	case 2: // it is late
		k.work(h, 150*time.Millisecond+k.some(1500))
	case 3:
		k.later(k.some(40), func() { k.done(h, protocol.WorkComplete, protocol.WorkComplete) })
	case 4:
		k.later(k.some(40), func() { k.done(h, protocol.WorkException, protocol.WorkFail) })
	}
}

// work does a job in the given time, and talks about it.
func (k *worker) work(h *held, d time.Duration) {
	for range k.IntN(4) {
		k.later(k.some(int(d/time.Millisecond)+1), func() { k.talk(h) })
	}
	k.later(d, func() {
		k.done(h, pick(k.Rand, protocol.WorkComplete, protocol.WorkComplete, protocol.WorkComplete, protocol.WorkFail, protocol.WorkException))
	})
}

func (k *worker) talk(h *held) {
	switch k.IntN(3) {
	case 0:
		k.tell(h, protocol.WorkStatus, fmt.Sprint(k.IntN(100000)), "100000")
	case 1:
		k.tell(h, protocol.WorkWarning, k.token())
	case 2:
		k.tell(h, protocol.WorkData, k.token()+strings.Repeat("-", pick(k.Rand, 0, 10, 2000)))
	}
}

// tell reports on a job, unless the worker has given it up.
func (k *worker) tell(h *held, t protocol.Type, args ...string) {
	if slices.Contains(k.held, h) {
		k.report(h.about, t, append([]string{h.handle}, args...)...)
	}
}

// done ends a job, and goes on.
func (k *worker) done(h *held, ends ...protocol.Type) {
	if !slices.Contains(k.held, h) {
		return
	}
	k.held = slices.DeleteFunc(k.held, func(other *held) bool { return other == h })
	for _, t := range ends {
		if t == protocol.WorkFail {
			k.report(h.about, t, h.handle)
		} else {
			k.report(h.about, t, h.handle, k.token())
		}
	}
	k.next()
}

// dismiss gives a cancelled job up, or does not care.
func (k *worker) dismiss(handle string) {
	for _, h := range slices.Clone(k.held) {
		switch {
		case h.handle != handle:
		case k.chance(4):
		case k.chance(2):
			k.done(h, protocol.WorkFail)
		default:
			k.done(h)
		}
	}
}

// steady is a worker that does everything right, and grabs only when it is told to.
type steady struct {
	*line
	assigned int
}

func newSteady(w *world) {
	s := &steady{}
	s.line = w.connect("steady", s)
	for _, f := range functions {
		s.send(protocol.CanDo, f)
	}
	s.send(protocol.PreSleep)
}

func (s *steady) heal() {}

func (s *steady) hear(p packet) {
	switch {
	case p.typ == protocol.Noop:
		s.send(protocol.GrabJobUniq)
	case p.typ == protocol.NoJob:
		s.send(protocol.PreSleep)
	case assigns(p.typ):
		s.assigned++
		about, handle := s.assigned, p.args[0]
		s.later(s.some(5), func() {
			s.report(about, protocol.WorkComplete, handle, s.token())
			s.send(protocol.PreSleep)
		})
	}
}
