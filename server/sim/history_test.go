package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// packet is one packet in either direction.
type packet struct {
	typ  protocol.Type
	args []string

	// about says which of its worker's assignments a report means: the first is 1, and 0 is none of
	// its own. The server cannot see it, but the judge can.
	about int
}

// handle is the job that the packet is about, without an attempt's number; "" if it names none.
func (p packet) handle() string {
	if len(p.args) == 0 {
		return ""
	}
	bare, _, _ := strings.Cut(p.args[0], "/")
	if !strings.HasPrefix(bare, handlePrefix) {
		return ""
	}
	return bare
}

const handlePrefix = "H:sim:"

// op is what an input does.
type op uint8

const (
	say    op = iota // a peer sends packets
	join             // a peer connects
	leave            // a peer closes its connection
	cut              // the same, in the middle of a packet
	stall            // a peer sends half a packet, and then nothing any more
	pause            // a peer stops reading
	resume           // and reads again
	cancel           // the operator cancels a job
	drop             // the operator drops a function
	limit            // the operator sets a function's longest queue
	retry            // the operator makes a dead letter a job again
)

func (o op) String() string {
	return [...]string{"say", "join", "leave", "cut", "stall", "pause", "resume", "cancel", "drop", "limit", "retry"}[o]
}

// input is something that happens to the system.
type input struct {
	op      op
	peer    queue.Peer // nobody: the operator
	packets []packet   // of say
	name    string     // of cancel and retry the handle; of drop and limit the function
	max     int        // of limit
	done    bool       // set by the system: the operator's command had an effect
}

// size is about how many bytes the packets have.
func (in *input) size() (n int) {
	for _, p := range in.packets {
		for _, a := range p.args {
			n += len(a) + protocol.HeaderSize
		}
	}
	return n
}

func (in *input) String() string {
	switch in.op {
	case cancel, drop, retry:
		return fmt.Sprintf("%s %s: %t", in.op, in.name, in.done)
	case limit:
		return fmt.Sprintf("%s %s %d: %t", in.op, in.name, in.max, in.done)
	}
	return in.op.String()
}

// output is a packet that a peer was sent.
type output struct {
	peer queue.Peer
	packet
}

// batch is what happened at one time: all of in, in an order that is not known if there is more than
// one, and then what came of it. Outputs to one peer are in order.
type batch struct {
	at   time.Time
	tick bool // time has passed, and there is no input
	in   []input
	out  []output
	gone []queue.Peer // whose connections the system has closed
}

// history is all that happened in a world.
type history struct {
	start   time.Time
	names   map[queue.Peer]string
	batches []batch
}

// lines is the history as text: of the batches for which a line is about the job or the peer, only
// these lines; of the last ones, all. Without both it is everything.
func (h *history) lines(handle string, peer queue.Peer) []string {
	const last, most = 4, 120
	all := handle == "" && peer == 0
	var lines []string
	for i := range h.batches {
		b := &h.batches[i]
		head := fmt.Sprintf("%9.3fs #%d ", b.at.Sub(h.start).Seconds(), i+1)
		keep := func(who queue.Peer, p *packet, text string) {
			if all || i >= len(h.batches)-last || who == peer && peer != 0 || p != nil && handle != "" && p.handle() == handle {
				lines = append(lines, head+h.name(who)+" "+text)
			}
		}
		for _, in := range b.in {
			for _, p := range in.packets {
				keep(in.peer, &p, "> "+p.String())
			}
			if in.op != say {
				keep(in.peer, &packet{args: []string{in.name}}, in.String())
			}
		}
		for _, out := range b.out {
			keep(out.peer, &out.packet, "< "+out.packet.String())
		}
		for _, p := range b.gone {
			keep(p, nil, "is closed by the server")
		}
	}
	if !all && len(lines) > most {
		lines = slices.Concat(lines[:most/4], []string{"..."}, lines[len(lines)-3*most/4:])
	}
	return lines
}

func (h *history) name(p queue.Peer) string {
	if p == 0 {
		return "operator"
	}
	return h.names[p]
}

func (p packet) String() string {
	text := p.typ.String()
	for i, a := range p.args {
		if len(a) > 40 {
			a = fmt.Sprintf("%s...(%d)", a[:20], len(a))
		}
		text += map[bool]string{true: " ", false: "|"}[i == 0] + a
	}
	return text
}
