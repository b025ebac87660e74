package transcript

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// ErrSyntax is wrapped by every error of [Parse].
var ErrSyntax = errors.New("transcript: syntax")

// Script is a conversation as it was written.
type Script struct {
	Name  string            // of its file, without .txt; set by [ParseAll]
	Rule  string            // the first comment, on one line
	Only  []string          // worlds that it is for; empty: all
	Not   map[string]string // worlds that it is not for, with the reason
	Needs map[string]string // settings of the server
	Steps []Step
}

// Skip says why the script is not for a world; empty: it is.
func (s *Script) Skip(world string) string {
	if reason, ok := s.Not[world]; ok {
		return reason
	}
	for _, name := range s.Only {
		if name == world {
			return ""
		}
	}
	if len(s.Only) > 0 {
		return "only for " + strings.Join(s.Only, ", ")
	}
	return ""
}

// Duration is the time that passes in the conversation, which a world without a clock of its own
// would have to wait.
func (s *Script) Duration() time.Duration {
	var sum time.Duration
	for _, step := range s.Steps {
		sum += step.Pause
	}
	return sum
}

// Stream is everything that the peers send, one after the other, as a seed for fuzzing. What is only
// known when the conversation is played is left out.
func (s *Script) Stream() []byte {
	var out []byte
	for _, step := range s.Steps {
		if step.Action != Send {
			continue
		}
		if b, _, err := step.Message.encode(Bindings{}, time.Unix(0, 0)); err == nil {
			out = append(out, b...)
		}
	}
	return out
}

// Action is what happens in a step.
type Action uint8

const (
	Pause   Action = iota // time passes
	Send                  // the peer sends Message
	Expect                // the peer receives Message
	Skip                  // the peer may receive anything before what it expects next
	Nothing               // the peer has received nothing more
	HangUp                // the peer closes its connection
	Closed                // the server closes the peer's connection
)

// Step is one line of a conversation.
type Step struct {
	Line    int    // in the text, from 1
	Text    string // the line
	Action  Action
	Peer    string
	Pause   time.Duration
	Message Message
}

// Message is a packet, an admin line or plain bytes, with words that may have holes.
type Message struct {
	Magic protocol.Magic
	Type  protocol.Type // protocol.Text: a line
	Args  []Word
	Raw   bool // Args[0] is sent as it is
}

// Parse reads a conversation. Its error names the line.
func Parse(text string) (*Script, error) {
	s := &Script{Not: map[string]string{}, Needs: map[string]string{}}
	head := true // in the comment at the top
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		var err error
		switch {
		case strings.HasPrefix(line, "#"):
			err = s.comment(strings.TrimSpace(line[1:]), head)
		case line == "":
			head = head && s.Rule == ""
		default:
			head = false
			err = s.step(Step{Line: i + 1, Text: line})
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w: %s", ErrSyntax, i+1, err, line)
		}
	}
	if s.Rule == "" {
		return nil, fmt.Errorf("%w: the first line is to be a comment that says the rule", ErrSyntax)
	}
	return s, nil
}

// ParseAll reads every .txt file at the top of a folder, sorted by name.
func ParseAll(folder fs.FS) ([]*Script, error) {
	files, err := fs.Glob(folder, "*.txt")
	if err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	var all []*Script
	for _, file := range files {
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("transcript: %w", err)
		}
		s, err := Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		s.Name = strings.TrimSuffix(file, ".txt")
		all = append(all, s)
	}
	return all, nil
}

// comment takes a directive, or a line of the rule.
func (s *Script) comment(text string, head bool) error {
	name, rest, ok := strings.Cut(text, ":")
	rest = strings.TrimSpace(rest)
	switch {
	case ok && name == "only":
		s.Only = strings.Fields(rest)
	case ok && name == "not":
		world, reason, _ := strings.Cut(rest, ",")
		if reason = strings.TrimSpace(reason); reason == "" {
			return errors.New("a reason is missing")
		}
		s.Not[world] = reason
	case ok && name == "needs":
		setting, value, ok := strings.Cut(rest, "=")
		if !ok {
			return errors.New("NAME=VALUE is missing")
		}
		s.Needs[setting] = value
	case head:
		s.Rule = strings.TrimSpace(s.Rule + " " + text)
	}
	return nil
}

func (s *Script) step(step Step) error {
	err := step.parse()
	s.Steps = append(s.Steps, step)
	return err
}

func (s *Step) parse() (err error) {
	first, rest, _ := strings.Cut(s.Text, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.HasPrefix(first, "+"):
		s.Pause, err = time.ParseDuration(first[1:])
		return err
	case strings.HasSuffix(first, ">"):
		s.Action, s.Peer = Send, first[:len(first)-1]
		s.Message, err = parseMessage(rest, protocol.Request)
		return err
	case strings.HasSuffix(first, "<"):
		s.Action, s.Peer = Expect, first[:len(first)-1]
		if rest == "..." {
			s.Action = Skip
			return nil
		}
		s.Message, err = parseMessage(rest, protocol.Response)
		return err
	}
	s.Peer = first
	switch rest {
	case "hears nothing":
		s.Action = Nothing
	case "hangs up":
		s.Action = HangUp
	case "is closed":
		s.Action = Closed
	default:
		return errors.New("not a line of a conversation")
	}
	return nil
}

// parseMessage reads what is behind "PEER>" or "PEER<".
func parseMessage(text string, magic protocol.Magic) (Message, error) {
	words, err := parseWords(text)
	if err != nil {
		return Message{}, err
	}
	m := Message{Magic: magic, Args: words}
	if len(words) == 0 {
		return m, nil // an empty line
	}
	switch words[0].literal() {
	case "raw":
		m.Raw, m.Args = true, words[1:]
		if len(m.Args) != 1 {
			return m, errors.New("raw takes one word")
		}
	case "malformed":
		m.Args = words[1:]
		return m, m.malformed()
	default:
		if t, ok := protocol.ParseType(words[0].literal()); ok {
			m.Type, m.Args = t, words[1:]
			return m, m.checkArity()
		}
	}
	return m, nil
}

// malformed takes a packet that is wrong on purpose: [RES] TYPE|NUMBER ARG...
func (m *Message) malformed() error {
	if len(m.Args) > 0 && m.Args[0].literal() == protocol.Response.String() {
		m.Magic, m.Args = protocol.Response, m.Args[1:]
	}
	if len(m.Args) == 0 {
		return errors.New("malformed needs a type")
	}
	name := m.Args[0].literal()
	m.Args = m.Args[1:]
	if t, ok := protocol.ParseType(name); ok {
		m.Type = t
		return nil
	}
	var number uint32
	if _, err := fmt.Sscanf(name, "%d", &number); err != nil || number == 0 {
		return errors.New("no packet type (for 0 there is raw)")
	}
	m.Type = protocol.Type(number)
	return nil
}

func (m *Message) checkArity() error {
	want, got := m.Type.Arity(), len(m.Args)
	reduce := m.Type == protocol.SubmitReduceJob || m.Type == protocol.SubmitReduceJobBg
	if got == want || reduce && got == want-1 {
		return nil
	}
	return fmt.Errorf("%s has %d arguments, not %d", m.Type, want, got)
}
