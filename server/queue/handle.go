package queue

import (
	"math"
	"strconv"
)

// handle is a job's name on the wire: the prefix and the job's serial.
func (s *State) handle(j *job) []byte { return s.handleOf(j.serial) }

func (s *State) handleOf(serial uint64) []byte {
	start := len(s.text)
	s.text = append(s.text, s.cfg.HandlePrefix...)
	s.text = strconv.AppendUint(s.text, serial, 10)
	return s.text[start:len(s.text):len(s.text)]
}

// assignedHandle is the job's name as the worker of a knows it.
func (s *State) assignedHandle(j *job, a *attempt) []byte {
	if !a.numbered {
		return s.handle(j)
	}
	start := len(s.text)
	s.handle(j)
	s.text = append(s.text, '/')
	s.text = strconv.AppendUint(s.text, uint64(a.number), 10)
	return s.text[start:len(s.text):len(s.text)]
}

// parseHandle takes a handle apart. Without an attempt's number it is 0.
func (s *State) parseHandle(h []byte) (serial uint64, number uint32, ok bool) {
	prefix := len(s.cfg.HandlePrefix)
	if len(h) <= prefix || string(h[:prefix]) != s.cfg.HandlePrefix {
		return 0, 0, false
	}
	serial, rest := parseNumber(h[prefix:])
	if serial == 0 || len(rest) == 0 {
		return serial, 0, serial != 0
	}
	if rest[0] != '/' {
		return 0, 0, false
	}
	n, rest := parseNumber(rest[1:])
	if n == 0 || n > math.MaxUint32 || len(rest) > 0 {
		return 0, 0, false
	}
	return serial, uint32(n), true
}

// parseNumber reads a decimal number without leading zeros from the start of b. It is 0 if there is
// none.
func parseNumber(b []byte) (n uint64, rest []byte) {
	for i, c := range b {
		if c < '0' || c > '9' || n == 0 && c == '0' {
			return n, b[i:]
		}
		if n > (math.MaxUint64-9)/10 {
			return 0, b
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}

// find is the job with a serial, 0 if there is none.
func (s *State) find(serial uint64) uint32 {
	found := s.serials.find(uint32(serial))
	slot := found.next()
	for slot != 0 && s.jobs.at(slot).serial != serial {
		slot = found.next()
	}
	return slot
}

// findHandle is the job with a bare handle, 0 if there is none.
func (s *State) findHandle(h []byte) uint32 {
	serial, number, ok := s.parseHandle(h)
	if !ok || number != 0 {
		return 0
	}
	return s.find(serial)
}
