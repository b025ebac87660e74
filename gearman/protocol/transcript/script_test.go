package transcript_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/gearman/protocol/transcript"
)

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := transcript.Parse(`
# The rule,
# on two lines.
# only: queue server
# not: server, it has a reason, with a comma
# needs: job-retries=2

C> SUBMIT_JOB f "" "a b"
# not the rule
C< JOB_CREATED $h
+1m30s
+1s
A> show jobs
A< ...
A< .
C hears nothing
C hangs up
A is closed
`)
	require.NoError(t, err)
	require.Equal(t, "The rule, on two lines.", s.Rule)
	require.Equal(t, []string{"queue", "server"}, s.Only)
	require.Equal(t, map[string]string{"job-retries": "2"}, s.Needs)
	require.Equal(t, 91*time.Second, s.Duration())
	require.Equal(t, "", s.Skip("queue"))
	require.Equal(t, "it has a reason, with a comma", s.Skip("server"))
	require.Equal(t, "only for queue, server", s.Skip("gearmand"))

	var actions []transcript.Action
	for _, step := range s.Steps {
		actions = append(actions, step.Action)
	}
	require.Equal(t, []transcript.Action{
		transcript.Send, transcript.Expect, transcript.Pause, transcript.Pause, transcript.Send,
		transcript.Skip, transcript.Expect, transcript.Nothing, transcript.HangUp, transcript.Closed,
	}, actions)
	require.Equal(t, 8, s.Steps[0].Line)
	require.Equal(t, protocol.SubmitJob, s.Steps[0].Message.Type)
	require.Equal(t, protocol.Response, s.Steps[1].Message.Magic)
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		"C> NOOP":                         "comment that says the rule",
		"# r\nC> SUBMIT_JOB f x":          "line 2: SUBMIT_JOB has 3 arguments, not 2",
		"# r\nC> SUBMIT_REDUCE_JOB f u r": "line 2: SUBMIT_REDUCE_JOB has 5 arguments, not 3",
		"# r\n\nC says nothing":           "line 3: not a line of a conversation",
		"# r\nC> ECHO_REQ \"x":            "a quote is not closed",
		"# r\nC> ECHO_REQ \\q":            "no such escape",
		"# r\nC> ECHO_REQ x\\":            "nothing after a backslash",
		"# r\nC> ECHO_REQ $":              "a name is missing",
		"# r\nC> ECHO_REQ {3}":            "a repetition is",
		"# r\nC> ECHO_REQ x{many}":        "a repetition is",
		"# r\nC> ECHO_REQ @soon":          "invalid duration",
		"# r\n+soon":                      "invalid duration",
		"# r\nC> raw a b":                 "raw takes one word",
		"# r\nC> malformed":               "malformed needs a type",
		"# r\nC> malformed NONE x":        "no packet type",
		"# r\n# not: gearmand":            "a reason is missing",
		"# r\n# needs: speed":             "NAME=VALUE is missing",
	} {
		_, err := transcript.Parse(text)
		require.ErrorIs(t, err, transcript.ErrSyntax, text)
		require.ErrorContains(t, err, message)
	}
}

// The conversations say every packet of the protocol at least once, and every admin command.
func TestConversationsAreComplete(t *testing.T) {
	t.Parallel()
	all, err := transcript.ParseAll(os.DirFS("../../../testdata/wire"))
	require.NoError(t, err)
	spoken := map[protocol.Type]bool{}
	var lines strings.Builder
	for _, script := range all {
		for _, step := range script.Steps {
			spoken[step.Message.Type] = true
			lines.WriteString(step.Text + "\n")
		}
	}
	for n := protocol.Type(1); n <= protocol.JobCancel; n++ {
		require.Equal(t, n.Known(), n.Known() && spoken[n], n.String())
	}
	for _, command := range []string{
		"status", "prioritystatus", "workers", "show jobs", "show unique jobs", "cancel job", "maxqueue",
		"create function", "drop function", "version", "verbose", "getpid",
	} {
		require.Contains(t, lines.String(), "A> "+command)
	}
}
