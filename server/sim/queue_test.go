package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// alone is the queue without a server: it is given one event at a time.
type alone struct {
	state   *queue.State
	now     time.Time
	rand    *rand.Rand
	effects []queue.Effect
	applied int
}

func newAlone(seed uint64, cfg queue.Config, start time.Time) *alone {
	return &alone{state: queue.New(cfg), now: start, rand: rand.New(rand.NewPCG(seed, 2))}
}

// pass stops at the queue's deadlines. If one falls on the moment itself, it may come first or not.
func (a *alone) pass(to time.Time) (time.Time, bool, []output, []queue.Peer) {
	due, ok := a.state.NextDeadline()
	if !ok || due.After(to) || due.Equal(to) && a.rand.IntN(2) == 0 {
		a.now = to
		return to, false, nil, nil
	}
	if due.After(a.now) {
		a.now = due
	}
	return a.now, true, a.do(&queue.Tick{}), nil
}

func (a *alone) apply(ins []input) ([]output, []queue.Peer) {
	in := &ins[0]
	switch in.op {
	case say:
		return a.do(eventOf(in.peer, in.packets[0])), nil
	case join:
		return a.do(&queue.Join{Peer: in.peer, Address: "somewhere"}), nil
	case leave, cut, stall:
		in.op = leave
		return a.do(&queue.Leave{Peer: in.peer}), nil
	}
	return a.operate(in), nil
}

func (a *alone) operate(in *input) []output {
	name := []byte(in.name)
	switch in.op {
	case cancel:
		return a.do(&queue.CancelJob{Handle: name})
	case limit:
		return a.do(&queue.SetMaxQueue{Function: name, Max: [3]int{in.max, in.max, in.max}})
	case drop:
		_, before := a.state.Function(in.name)
		outs := a.do(&queue.DropFunction{Function: name})
		_, after := a.state.Function(in.name)
		in.done = before && !after
		return outs
	case retry:
		old := a.live()
		outs := a.do(&queue.RetryDead{Handle: name})
		for _, handle := range a.live() {
			if !slices.Contains(old, handle) {
				in.done, in.packets = true, []packet{{typ: protocol.JobCreated, args: []string{handle}}}
			}
		}
		return outs
	}
	return nil
}

func (a *alone) do(ev queue.Event) []output {
	if ev == nil {
		return nil
	}
	a.applied++
	a.effects = a.state.Apply(a.now, ev, a.effects[:0])
	outs := make([]output, len(a.effects))
	for i := range a.effects {
		e := &a.effects[i]
		outs[i].peer, outs[i].typ = e.To, e.Type
		for _, arg := range e.Arguments() {
			outs[i].args = append(outs[i].args, string(arg))
		}
	}
	return outs
}

func (a *alone) live() []string {
	var handles []string
	for j := range a.state.Jobs() {
		handles = append(handles, j.Handle)
	}
	return handles
}

func (a *alone) dead() []queue.DeadLetter { return deadLetters(a.state) }

func (a *alone) counters() queue.Counters { return a.state.Counters() }

func deadLetters(s *queue.State) []queue.DeadLetter {
	var dead []queue.DeadLetter
	for d := range s.DeadLetters() {
		dead = append(dead, d)
	}
	return dead
}

// check asks for the queue's own invariants now and then.
func (a *alone) check() error {
	if a.applied%16 != 0 {
		return nil
	}
	return a.state.Check()
}

// eventOf is what the server makes of a packet; nil: something that does not reach the queue.
func eventOf(p queue.Peer, pk packet) queue.Event {
	arg := func(i int) []byte {
		if i < len(pk.args) {
			return []byte(pk.args[i])
		}
		return nil
	}
	switch pk.typ {
	case protocol.OptionReq:
		return &queue.SetOption{Peer: p, Option: arg(0)}
	case protocol.CanDo, protocol.CanDoTimeout:
		ev := &queue.CanDo{Peer: p, Function: arg(0)}
		if len(pk.args) > 1 {
			ev.Timeout = milliseconds(pk.args[1])
		}
		return ev
	case protocol.CantDo:
		return &queue.CantDo{Peer: p, Function: arg(0)}
	case protocol.ResetAbilities:
		return &queue.ResetAbilities{Peer: p}
	case protocol.PreSleep:
		return &queue.PreSleep{Peer: p}
	case protocol.GrabJob:
		return &queue.Grab{Peer: p}
	case protocol.GrabJobUniq:
		return &queue.Grab{Peer: p, Detail: queue.WithUnique}
	case protocol.GrabJobAll:
		return &queue.Grab{Peer: p, Detail: queue.WithAll}
	case protocol.GetStatus:
		return &queue.GetStatus{Peer: p, Handle: arg(0)}
	}
	if s, ok := parseSubmission(pk); ok {
		return &queue.Submit{Peer: p, Function: []byte(s.function), Unique: []byte(s.unique), Payload: []byte(s.payload),
			Priority: s.priority, Background: s.background, RunAt: s.runAt, Reducer: []byte(s.reducer)}
	}
	kinds := map[protocol.Type]queue.ReportKind{protocol.WorkData: queue.Data, protocol.WorkWarning: queue.Warning,
		protocol.WorkStatus: queue.Status, protocol.WorkComplete: queue.Complete, protocol.WorkFail: queue.Fail,
		protocol.WorkException: queue.Exception}
	return &queue.Report{Peer: p, Kind: kinds[pk.typ], Handle: arg(0), Data: arg(1), Second: arg(2)}
}
