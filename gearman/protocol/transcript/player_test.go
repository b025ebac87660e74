package transcript_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/gearman/protocol/transcript"
)

// mirror is a World whose peers receive what they send: packets with the server's magic, lines as
// they are. The line "quit" closes the connection.
type mirror struct {
	now    time.Time
	dialed int
	closed int
}

func (m *mirror) Now() time.Time { return m.now }

func (m *mirror) Advance(d time.Duration) error {
	m.now = m.now.Add(d)
	return nil
}

func (m *mirror) Dial() (transcript.Conn, error) {
	if m.dialed++; m.dialed > 3 {
		return nil, errors.New("full")
	}
	return &mirrorConn{world: m}, nil
}

type mirrorConn struct {
	world *mirror
	inbox bytes.Buffer
	quit  bool
}

func (c *mirrorConn) Send(b []byte, whole bool) error {
	if string(b) == "quit\n" {
		c.quit = true
		return nil
	}
	if whole {
		b[3] = 'S'
	}
	_, err := c.inbox.Write(b)
	return err
}

func (c *mirrorConn) Receive(bool) (protocol.Packet, error) {
	r := protocol.NewReader(oneByte{&c.inbox}, protocol.Limits{})
	p, err := r.Read()
	if errors.Is(err, io.EOF) && !c.quit {
		err = transcript.ErrQuiet
	}
	return p, err
}

func (c *mirrorConn) Close() error {
	c.world.closed++
	return nil
}

// oneByte keeps a Reader from taking more than one message.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:1]) }

func play(t *testing.T, lines string) (*mirror, error) {
	s, err := transcript.Parse("# A rule.\n" + lines)
	require.NoError(t, err)
	m := &mirror{now: time.Unix(1000, 0)}
	return m, transcript.Play(s, m)
}

func TestPlay(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"same again":         "C> JOB_CREATED h\nC< JOB_CREATED h",
		"wildcard":           "C> ECHO_RES some\\nbytes\\xff\nC< ECHO_RES *",
		"empty wildcard":     "C> ECHO_RES \"\"\nC< ECHO_RES *",
		"inside":             "C> ECHO_RES H:host:17\nC< ECHO_RES H:*:17",
		"name":               "C> JOB_CREATED one\nC< JOB_CREATED $h\nC> WORK_FAIL $h\nC< WORK_FAIL one",
		"name with a suffix": "C> JOB_CREATED H:1/2/3\nC< JOB_CREATED $h/3\nC> WORK_FAIL $h\nC< WORK_FAIL H:1/2",
		"two names":          "C> JOB_CREATED H:a:1\nC< JOB_CREATED H:$host:$n\nC> JOB_CREATED $n\nC< JOB_CREATED 1",
		"escapes":            "C> ECHO_RES \\$a\\*\\t\\0\\\"\\{\\@\nC< ECHO_RES \"$a*\\t\\0\\\"{@\"",
		"repetition":         "C> ECHO_RES ax{3}\\n{2}b\nC< ECHO_RES \"axxx\\n\\nb\"",
		"clock":              "C> ECHO_RES @+30s\nC< ECHO_RES 1030\n+30s\nC> ECHO_RES @+0s\nC< ECHO_RES 1030",
		"line":               "A> show  jobs\nA< show jobs",
		"line with holes":    "A> 36 127.0.0.1 - : f\nA< * - : $f\nA> $f\nA< f",
		"empty line":         "A>\nA<",
		"raw":                "A> raw sta\nA> raw tus\\n\nA< status",
		"skip":               "A> a\nA> b\nA> c\nA< ...\nA< c",
		"skip to the end":    "A> a\nA> b\nA< ...",
		"hears nothing":      "A hears nothing\nA> a\nA< a\nA hears nothing",
		"hangs up":           "A> a\nA hangs up\nA hears nothing",
		"is closed":          "A> quit\nA is closed",
		"malformed":          "A> malformed SUBMIT_JOB f\nA< malformed SUBMIT_JOB f",
	} {
		m, err := play(t, lines)
		if name == "malformed" { // it cannot be received
			require.ErrorContains(t, err, "too few arguments")
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, m.dialed, m.closed, name)
	}
}

func TestPlayMismatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines string
		line  int
		got   string
	}{
		"other argument":  {"C> ECHO_RES x\nC< ECHO_RES y", 3, `ECHO_RES "x"`},
		"other type":      {"C> NO_JOB\nC< NOOP", 3, `NO_JOB`},
		"other binding":   {"C> ECHO_RES x\nC< ECHO_RES $a\nC> ECHO_RES y\nC< ECHO_RES $a", 5, `ECHO_RES "y"`},
		"empty name":      {"C> ECHO_RES \"\"\nC< ECHO_RES $a", 3, `ECHO_RES ""`},
		"a line":          {"C> NOOP\nC< NOOP\nC> version\nC< NOOP", 5, `"version"`},
		"nothing":         {"C< NOOP", 2, "nothing came"},
		"something":       {"C> NOOP\nC hears nothing", 3, "NOOP"},
		"more at the end": {"C> NOOP\nC> NOOP\nC< NOOP", 4, "NOOP"},
		"not closed":      {"C is closed", 2, "nothing came"},
		"closed":          {"C> quit\nC< NOOP", 3, "EOF"},
		"closed in vain":  {"C> quit", 2, "EOF"},
		"never comes":     {"C> NOOP\nC< ...\nC< NO_JOB", 4, "nothing came"},
		"long":            {"C> ECHO_RES x{200}\nC< ECHO_RES y", 3, "(200 bytes)"},
	} {
		_, err := play(t, c.lines)
		var bad *transcript.MismatchError
		require.ErrorAs(t, err, &bad, name)
		require.Equal(t, c.line, bad.Line, name)
		require.Contains(t, bad.Got, c.got, name)
		require.Contains(t, err.Error(), bad.Text)
	}
}

func TestPlayErrors(t *testing.T) {
	t.Parallel()
	_, err := play(t, "C> ECHO_RES $unbound")
	require.ErrorContains(t, err, "line 2: $unbound is not bound yet")
	_, err = play(t, "C> ECHO_RES a*")
	require.ErrorContains(t, err, "* cannot be sent")
	m, err := play(t, "C> a\nC< a\nD> a\nD< a\nE> a\nE< a\nF> a")
	require.ErrorContains(t, err, "connect F: full")
	require.Equal(t, 3, m.closed)
}

// A failed match leaves no binding behind.
func TestMatchBindsNothingOnMismatch(t *testing.T) {
	t.Parallel()
	_, err := play(t, "C> WORK_DATA a 1\nC> WORK_DATA b 2\nC< ...\nC< WORK_DATA $h 2\nC> ECHO_RES $h\nC< ECHO_RES b")
	require.NoError(t, err)
}
