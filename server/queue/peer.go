package queue

import (
	"slices"
	"strings"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// peer is one connection, be it a client, a worker or both.
type peer struct {
	id      Peer
	slot    uint32
	address string
	name    string // SET_CLIENT_ID

	exceptions bool // options that were asked for
	cancels    bool
	numbers    bool // handles with the attempt's number
	given      bool // it has had a job: from now on it never hears that there is no such job

	seat    uint32 // the first of the jobs it is attached to as a client
	waiting int    // and how many there are

	abilities abilities             // in the order of CAN_DO
	ready     [priorities]abilities // those whose functions may have jobs; the next one to serve first
	unlisted  abilities             // those not among their function's sleepers
	asleep    bool                  // it gets a NOOP when there is a job
	owes      *function             // it had a NOOP because of this function and is expected to grab
	debt      uint32                // that it owes, among the timers
	coming    bool                  // its grab will be applied again in a moment

	first, last uint32 // attempts it has, in the order of assignment
	running     int
	excepted    uint64 // the last job it ended by an exception; a WORK_FAIL may follow

	// late are the serials of jobs that were taken from this worker, which may still report on them
	// and does not know attempts by number. Until it has, it is not given the same job again: nobody
	// could tell the old attempt's result from the new one's.
	late []uint64

	welcome []lateRun // attempts taken from it whose results are taken all the same
}

// maxLate bounds what a worker that never reports can cost a grab.
const maxLate = 256

// addLate notes an attempt that was taken from p. Of a worker that never reports only the newest are
// remembered.
func (p *peer) addLate(serial uint64) {
	if len(p.late) >= maxLate {
		p.late = slices.Delete(p.late, 0, 1)
	}
	p.late = append(p.late, serial)
}

// barred says that p must not be given the job.
func (p *peer) barred(j *job) bool { return len(p.late) > 0 && slices.Contains(p.late, j.serial) }

func (s *State) join(ev *Join) {
	if ev.Peer == 0 || s.peers[ev.Peer] != nil {
		return
	}
	slot, p := s.peerSlab.add()
	p.id, p.slot, p.address = ev.Peer, slot, ev.Address
	s.peers[ev.Peer] = p
}

// peer is the connection with that number, nil if it has not joined.
func (s *State) peer(id Peer) *peer { return s.peers[id] }

func (s *State) setOption(ev *SetOption) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	switch option := string(ev.Option); {
	case strings.EqualFold(option, protocol.OptionExceptions): // in any case, as in gearmand
		p.exceptions = true
	case option == protocol.OptionCancel:
		p.cancels = true
	case option == protocol.OptionAttempts:
		p.numbers = true
	case option == protocol.OptionTasks: // what it may send from now on is told apart by its type
	default:
		s.refuse(p, protocol.CodeUnknownOption, "Server does not recognize given option", &s.counters.Refused.Option)
		return
	}
	s.send(p, protocol.OptionRes, ev.Option)
}

// maxName is how much of a client id is kept, as in gearmand.
const maxName = 127

func (s *State) setClientID(ev *SetClientID) {
	if p := s.peer(ev.Peer); p != nil {
		p.name = string(ev.ID[:min(len(ev.ID), maxName)])
	}
}
