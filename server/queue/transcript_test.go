package queue_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/gearman/protocol/transcript"
	"github.com/geartrain/geartrain/server/queue"
)

// TestTranscripts plays the conversations of testdata/wire against the bare state machine, with all
// invariants checked after each event.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	all, err := transcript.ParseAll(os.DirFS("../../testdata/wire"))
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, script := range all {
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			if reason := script.Skip("queue"); reason != "" {
				t.Skip(reason)
			}
			require.NoError(t, transcript.Play(script, newWorld(t, script.Needs)))
		})
	}
}

// world is a State with a clock that only Advance moves.
type world struct {
	t     *testing.T
	now   time.Time
	state *queue.State
	peers map[queue.Peer]*worldConn
	last  queue.Peer
}

func newWorld(t *testing.T, settings map[string]string) *world {
	cfg := queue.Config{HandlePrefix: "H:test:"}
	for name, value := range settings {
		n, err := strconv.Atoi(value)
		require.NoError(t, err, name)
		switch name {
		case "job-retries":
			cfg.JobRetries = n
		case "worker-wakeup":
			cfg.WakeUp = n
		default:
			t.Fatalf("unknown setting %s", name)
		}
	}
	return &world{
		t:     t,
		now:   time.Unix(1_700_000_000, 0),
		state: queue.New(cfg),
		peers: map[queue.Peer]*worldConn{},
	}
}

func (w *world) Now() time.Time { return w.now }

// Advance stops at every deadline on the way.
func (w *world) Advance(d time.Duration) error {
	end := w.now.Add(d)
	for {
		next, ok := w.state.NextDeadline()
		if !ok || next.After(end) {
			w.now = end
			return nil
		}
		if next.After(w.now) {
			w.now = next
		}
		w.apply(&queue.Tick{})
	}
}

func (w *world) Dial() (transcript.Conn, error) {
	w.last++
	c := &worldConn{world: w, id: w.last}
	c.reader = protocol.NewReader(&c.sent, protocol.Limits{})
	w.peers[c.id] = c
	w.apply(&queue.Join{Peer: c.id, Address: "127.0.0.1"})
	return c, nil
}

func (w *world) apply(ev queue.Event) {
	for _, e := range w.state.Apply(w.now, ev, nil) {
		c := w.peers[e.To]
		require.NotNil(w.t, c, "%s for a peer that is gone", e.Type)
		p := protocol.Packet{Magic: protocol.Response, Type: e.Type}
		for _, arg := range e.Arguments() {
			p.Args = append(p.Args, bytes.Clone(arg))
		}
		c.inbox = append(c.inbox, p)
	}
	require.NoError(w.t, w.state.Check())
}

// worldConn is one peer.
type worldConn struct {
	world  *world
	id     queue.Peer
	sent   bytes.Buffer // of which reader makes packets
	reader *protocol.Reader
	inbox  []protocol.Packet
	closed bool
}

func (c *worldConn) Send(b []byte, _ bool) error {
	c.sent.Write(b)
	for {
		p, err := c.reader.Read()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		ev := event(c.id, &p)
		require.NotNil(c.world.t, ev, "%s is not for the queue", p.Type)
		c.world.apply(ev)
	}
}

func (c *worldConn) Receive(bool) (protocol.Packet, error) {
	if len(c.inbox) == 0 {
		return protocol.Packet{}, transcript.ErrQuiet
	}
	p := c.inbox[0]
	c.inbox = c.inbox[1:]
	return p, nil
}

func (c *worldConn) Close() error {
	if !c.closed {
		c.closed = true
		delete(c.world.peers, c.id)
		c.world.apply(&queue.Leave{Peer: c.id})
	}
	return nil
}

// event is the event that a packet stands for, nil for one that the queue does not know.
func event(peer queue.Peer, p *protocol.Packet) queue.Event {
	switch p.Type {
	case protocol.CanDo:
		return &queue.CanDo{Peer: peer, Function: p.Args[0]}
	case protocol.CanDoTimeout:
		ms, _ := strconv.Atoi(string(p.Args[1])) // the conversations have numbers there
		return &queue.CanDo{Peer: peer, Function: p.Args[0], Timeout: time.Duration(ms) * time.Millisecond}
	case protocol.CantDo:
		return &queue.CantDo{Peer: peer, Function: p.Args[0]}
	case protocol.ResetAbilities:
		return &queue.ResetAbilities{Peer: peer}
	case protocol.PreSleep:
		return &queue.PreSleep{Peer: peer}
	case protocol.GrabJob:
		return &queue.Grab{Peer: peer, Detail: queue.Plain}
	case protocol.GrabJobUniq:
		return &queue.Grab{Peer: peer, Detail: queue.WithUnique}
	case protocol.GrabJobAll:
		return &queue.Grab{Peer: peer, Detail: queue.WithAll}
	case protocol.GetStatus:
		return &queue.GetStatus{Peer: peer, Handle: p.Args[0]}
	case protocol.GetStatusUnique:
		return &queue.GetStatusUnique{Peer: peer, Unique: p.Args[0]}
	case protocol.OptionReq:
		return &queue.SetOption{Peer: peer, Option: p.Args[0]}
	case protocol.SetClientID:
		return &queue.SetClientID{Peer: peer, ID: p.Args[0]}
	}
	if ev := taskEvent(peer, p); ev != nil {
		return ev
	}
	if kind, ok := reports[p.Type]; ok {
		return &queue.Report{Peer: peer, Kind: kind, Handle: p.Arg(0), Data: p.Arg(1), Second: p.Arg(2), Owned: p.Owned}
	}
	return submission(peer, p)
}

// taskEvent is event for the packets of geartrain-tasks.
func taskEvent(peer queue.Peer, p *protocol.Packet) queue.Event {
	switch p.Type {
	case protocol.SubmitTask:
		o, err := protocol.ParseTaskOptions(p.Args[2])
		if err != nil {
			return nil
		}
		return &queue.Submit{
			Peer: peer, Function: p.Args[0], Unique: p.Args[1], Payload: p.Args[3], Owned: p.Owned,
			Priority: queue.Priority(int(queue.Normal) - o.Priority), Background: o.Background, RunAt: o.At, Options: &o,
		}
	case protocol.AttachJob:
		return &queue.AttachJob{Peer: peer, Function: p.Args[0], Key: p.Args[1]}
	case protocol.CancelJob:
		return &queue.CancelJob{Peer: peer, Handle: p.Args[0]}
	case protocol.CancelKey:
		return &queue.CancelKey{Peer: peer, Function: p.Args[0], Key: p.Args[1]}
	case protocol.LeaveJob:
		return &queue.LeaveJob{Peer: peer, Handle: p.Args[0]}
	case protocol.FindJob:
		return &queue.FindJob{Peer: peer, Function: p.Args[0], Key: p.Args[1]}
	}
	return nil
}

var reports = map[protocol.Type]queue.ReportKind{
	protocol.WorkData:      queue.Data,
	protocol.WorkWarning:   queue.Warning,
	protocol.WorkStatus:    queue.Status,
	protocol.WorkComplete:  queue.Complete,
	protocol.WorkFail:      queue.Fail,
	protocol.WorkException: queue.Exception,
}

var submissions = map[protocol.Type]queue.Submit{
	protocol.SubmitJob:         {Priority: queue.Normal},
	protocol.SubmitJobHigh:     {Priority: queue.High},
	protocol.SubmitJobLow:      {Priority: queue.Low},
	protocol.SubmitJobBg:       {Priority: queue.Normal, Background: true},
	protocol.SubmitJobHighBg:   {Priority: queue.High, Background: true},
	protocol.SubmitJobLowBg:    {Priority: queue.Low, Background: true},
	protocol.SubmitJobEpoch:    {Priority: queue.Normal, Background: true},
	protocol.SubmitReduceJob:   {Priority: queue.Normal},
	protocol.SubmitReduceJobBg: {Priority: queue.Normal, Background: true},
}

func submission(peer queue.Peer, p *protocol.Packet) queue.Event {
	ev, ok := submissions[p.Type]
	if !ok {
		return nil
	}
	ev.Peer, ev.Function, ev.Unique = peer, p.Args[0], p.Args[1]
	ev.Payload, ev.Owned = p.Args[len(p.Args)-1], p.Owned
	switch p.Type {
	case protocol.SubmitJobEpoch:
		seconds, _ := strconv.ParseInt(string(p.Args[2]), 10, 64) // the conversations have numbers there
		ev.RunAt = time.Unix(seconds, 0)
	case protocol.SubmitReduceJob, protocol.SubmitReduceJobBg:
		ev.Reducer = p.Args[2]
	}
	return &ev
}
