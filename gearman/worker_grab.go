package gearman

import (
	"strings"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// grabbing is how a worker asks for jobs on a link: with GRAB_JOB_UNIQ, which brings the key, unless the
// server turns out not to know that, as the first one, in Perl, does not. It is guarded by the link's
// lock.
//
//	GRAB_JOB_UNIQ ──► JOB_ASSIGN_UNIQ or NO_JOB ──► GRAB_JOB_UNIQ for good
//	            └──► ERROR ──► GRAB_JOB for good; and once for each that was refused
type grabbing struct {
	known  bool // it knows GRAB_JOB_UNIQ
	old    bool // it does not
	unsure int  // GRAB_JOB_UNIQs sent while neither was known, and not answered
}

// append appends one grab.
func (g *grabbing) append(dst []byte) []byte {
	if g.old {
		return protocol.AppendPacket(dst, protocol.Request, protocol.GrabJob)
	}
	if !g.known {
		g.unsure++
	}
	return protocol.AppendPacket(dst, protocol.Request, protocol.GrabJobUniq)
}

// grabKnown: a grab was answered as it should be.
func (l *link) grabKnown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grabs.known = !l.grabs.old
}

// grabRefused takes an ERROR that may be the answer to a GRAB_JOB_UNIQ, and asks in the old way instead.
// It reports whether it was.
func (l *link) grabRefused(code string) bool {
	if !strings.EqualFold(code, "server_error") && !strings.EqualFold(code, protocol.CodeInvalidCommand) {
		return false
	}
	refused := false
	_ = l.post(func(dst []byte) []byte { // a dead link is the reader's to find
		g := &l.grabs
		if refused = !g.known && g.unsure > 0; !refused {
			return dst
		}
		g.old = true
		g.unsure--
		return g.append(dst)
	})
	return refused
}
