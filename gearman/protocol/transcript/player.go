package transcript

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// ErrQuiet is what [Conn.Receive] gives when nothing comes.
var ErrQuiet = errors.New("transcript: nothing came")

// World is what a conversation is played against. A world carries out each step completely before
// the next one begins: when Send, HangUp or Advance returns, the server has done what follows.
type World interface {
	// Dial opens a connection to the job server.
	Dial() (Conn, error)
	// Advance lets time pass.
	Advance(d time.Duration) error
	// Now is the job server's time.
	Now() time.Time
}

// Conn is one peer's connection.
type Conn interface {
	// Send sends bytes, which are one message or, with whole false, perhaps none.
	Send(b []byte, whole bool) error
	// Receive gives the next message from the server, which stays valid. It is ErrQuiet when none
	// comes, and io.EOF when the server closed the connection. With patience it waits for a message
	// for as long as one can take; without, only until the world is sure that none is on its way.
	Receive(patience bool) (protocol.Packet, error)
	// Close hangs up.
	Close() error
}

// MismatchError says at which line a conversation went otherwise.
type MismatchError struct {
	Line int
	Text string // the line
	Got  string // what came instead
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("transcript: line %d: %s: got %s", e.Line, e.Text, e.Got)
}

// Play carries a conversation out, line by line. The first line that goes otherwise ends it with a
// [MismatchError]; a connection that fails, with that error. All connections are closed afterwards.
func Play(s *Script, w World) error {
	p := player{world: w, peers: map[string]*peer{}, bound: Bindings{}}
	defer p.close()
	for _, step := range s.Steps {
		if err := p.step(&step); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.peers)) {
		end := Step{Action: Nothing, Peer: name, Text: name + " hears nothing more", Line: len(s.Steps)}
		if len(s.Steps) > 0 {
			end.Line = s.Steps[len(s.Steps)-1].Line
		}
		if err := p.step(&end); err != nil {
			return err
		}
	}
	return nil
}

// player is one conversation in progress.
type player struct {
	world World
	peers map[string]*peer
	bound Bindings
}

type peer struct {
	conn Conn
	skip bool // messages that do not match are passed over, once
	gone bool // the server has closed the connection
}

func (p *player) close() {
	for _, peer := range p.peers {
		_ = peer.conn.Close() // the conversation is over; nobody asks
	}
}

// peer finds a peer, or connects it.
func (p *player) peer(name string) (*peer, error) {
	if found := p.peers[name]; found != nil {
		return found, nil
	}
	conn, err := p.world.Dial()
	if err != nil {
		return nil, fmt.Errorf("transcript: connect %s: %w", name, err)
	}
	p.peers[name] = &peer{conn: conn}
	return p.peers[name], nil
}

func (p *player) step(s *Step) error {
	if s.Action == Pause {
		return p.world.Advance(s.Pause)
	}
	peer, err := p.peer(s.Peer)
	if err != nil {
		return err
	}
	switch s.Action {
	case Send:
		return p.send(peer, s)
	case Expect:
		return p.expect(peer, s)
	case Skip:
		peer.skip = true
	case Nothing:
		return p.nothing(peer, s)
	case HangUp:
		delete(p.peers, s.Peer)
		return peer.conn.Close()
	case Closed:
		return p.closed(peer, s)
	}
	return nil
}

func (p *player) send(peer *peer, s *Step) error {
	b, whole, err := s.Message.encode(p.bound, p.world.Now())
	if err != nil {
		return fmt.Errorf("transcript: line %d: %w", s.Line, err)
	}
	if err := peer.conn.Send(b, whole); err != nil {
		return fmt.Errorf("transcript: line %d: %s: %w", s.Line, s.Text, err)
	}
	return nil
}

func (p *player) expect(peer *peer, s *Step) error {
	for {
		got, err := peer.conn.Receive(true)
		if err != nil {
			return s.mismatch(err.Error())
		}
		if s.Message.matches(&got, p.bound, p.world.Now()) {
			peer.skip = false
			return nil
		}
		if !peer.skip {
			return s.mismatch(Format(&got))
		}
	}
}

func (p *player) nothing(peer *peer, s *Step) error {
	if peer.skip || peer.gone {
		return nil
	}
	got, err := peer.conn.Receive(false)
	switch {
	case errors.Is(err, ErrQuiet):
		return nil
	case err != nil:
		return s.mismatch(err.Error())
	}
	return s.mismatch(Format(&got))
}

func (p *player) closed(peer *peer, s *Step) error {
	for {
		got, err := peer.conn.Receive(true)
		switch {
		case errors.Is(err, io.EOF):
			peer.gone = true
			return nil
		case err != nil:
			return s.mismatch(err.Error())
		case !peer.skip:
			return s.mismatch(Format(&got))
		}
	}
}

func (s *Step) mismatch(got string) error {
	return &MismatchError{Line: s.Line, Text: s.Text, Got: got}
}

// encode gives the bytes of a message that is sent, and whether they are one whole packet.
func (m *Message) encode(b Bindings, now time.Time) (out []byte, whole bool, err error) {
	args := make([][]byte, len(m.Args))
	for i, word := range m.Args {
		if args[i], err = word.Expand(b, now); err != nil {
			return nil, false, err
		}
	}
	switch {
	case m.Raw:
		return args[0], false, nil
	case m.Type == protocol.Text && m.Magic == protocol.Request:
		return append(bytes.Join(args, []byte{' '}), '\n'), false, nil
	}
	return protocol.AppendPacket(nil, m.Magic, m.Type, args...), true, nil
}

// matches compares a message with the one that came. The words of a line are one text, so that
// holes may reach over blanks.
func (m *Message) matches(got *protocol.Packet, b Bindings, now time.Time) bool {
	if got.Type != m.Type {
		return false
	}
	tried := maps.Clone(b)
	if m.Type == protocol.Text {
		if !m.line().Match(got.Arg(0), tried, now) {
			return false
		}
	} else if got.Magic != m.Magic || !matchAll(m.Args, got.Args, tried, now) {
		return false
	}
	maps.Copy(b, tried)
	return true
}

func matchAll(words []Word, args [][]byte, b Bindings, now time.Time) bool {
	return slices.EqualFunc(words, args, func(w Word, arg []byte) bool { return w.Match(arg, b, now) })
}

// line is a line's text as one word.
func (m *Message) line() Word {
	var line Word
	for i, word := range m.Args {
		if i > 0 {
			line = append(line, piece{text: []byte{' '}})
		}
		line = append(line, word...)
	}
	return line
}

// Format writes a message as a conversation would have it, long arguments cut.
func Format(p *protocol.Packet) string {
	var words []string
	if p.Type != protocol.Text {
		words = append(words, p.Type.String())
	}
	for _, arg := range p.Args {
		if len(arg) > 100 {
			words = append(words, fmt.Sprintf("%q... (%d bytes)", arg[:100], len(arg)))
		} else {
			words = append(words, fmt.Sprintf("%q", arg))
		}
	}
	return strings.Join(words, " ")
}
