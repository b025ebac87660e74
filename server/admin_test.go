package server_test

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

func formatUnix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// The answers to these lines were compared with gearmand 1.1.20's, byte for byte.
func TestAdminAnswers(t *testing.T) {
	t.Parallel()
	const incomplete = "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"
	for _, c := range []struct{ line, answer string }{
		{"status", ".\n"},
		{"STATUS\r", ".\n"},
		{"prioritystatus", ".\n"},
		{"show jobs", ".\n"},
		{"Show Jobs", ".\n"},
		{"show unique jobs", ".\n"},
		{"version x", "OK geartrain\n"},
		{"verbose", "OK ERROR\n"},
		{"getpid", fmt.Sprintf("OK %d\n", os.Getpid())},
		{"maxqueue", incomplete + "maxqueue\r\n"},
		{"maxqueue foo", "OK\r\n"},
		{"maxqueue foo 10", "OK\r\n"},
		{"maxqueue foo -1", "OK\r\n"},
		{"maxqueue foo 10 20", "OK\r\n"},
		{"maxqueue foo 10 20 30", "OK\r\n"},
		{"create function foo", "OK\r\n"},
		{"create function", incomplete + "create\r\n"},
		{"create", incomplete + "create\r\n"},
		{"create bar", incomplete + "create\r\n"},
		{"create function a b", incomplete + "create\r\n"},
		{"drop function none", "ERR function not found\r\n"},
		{"drop function", incomplete + "drop\r\n"},
		{"drop", incomplete + "drop\r\n"},
		{"drop x y", incomplete + "drop\r\n"},
		{"cancel job H:x:1", "ERR UNKNOWN_JOB\r\n"},
		{"cancel job", "ERR UNKNOWN_COMMAND Unknown+server+commandcancel\r\n"},
		{"cancel", "ERR UNKNOWN_COMMAND Unknown+server+commandcancel\r\n"},
		{"cancel foo bar", "ERR UNKNOWN_ERROR\r\n"},
		{"show", "ERR UNKNOWN_COMMAND Unknown+server+commandshow\r\n"},
		{"show x", "ERR UNKNOWN_SHOW_ARGUMENTS\r\n"},
		{"show unique", "ERR UNKNOWN_SHOW_ARGUMENTS\r\n"},
		{"shutdown", "ERR UNKNOWN_COMMAND Unknown+server+commandshutdown\r\n"},
		{"foo bar", "ERR UNKNOWN_COMMAND Unknown+server+commandfoo\r\n"},
		{"", "ERR UNKNOWN_COMMAND Unknown+server+command\r\n"},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.answer, dial(t, servertest.Start(t)).admin(c.line))
		})
	}
}

func TestAdminListings(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	worker, client, watch := dial(t, s), dial(t, s), dial(t, s)
	worker.send(protocol.SetClientID, "worker one")
	worker.send(protocol.CanDo, "b")
	worker.send(protocol.CanDo, "a")
	worker.echo()
	first := client.submit("a", "key", "x")
	second := client.submit("b", "", "x")
	worker.send(protocol.GrabJob)
	got := worker.expect(protocol.JobAssign)
	require.Contains(t, []string{first, second}, got[0])
	running, waiting := map[string]int{got[1]: 1}, map[string]int{"a": 1, "b": 1}
	waiting[got[1]] = 0

	require.Equal(t, fmt.Sprintf("a\t1\t%d\t1\nb\t1\t%d\t1\n.\n", running["a"], running["b"]), watch.admin("status"))
	require.Equal(t, fmt.Sprintf("a\t0\t%d\t0\t1\nb\t0\t%d\t0\t1\n.\n", waiting["a"], waiting["b"]), watch.admin("prioritystatus"))
	require.Equal(t, "1 127.0.0.1 worker\\x20one : b a\n2 127.0.0.1 - :\n3 127.0.0.1 - :\n.\n", watch.admin("workers"))
	require.ElementsMatch(t, []string{
		first + "\t0\t0\t0", second + "\t0\t0\t0", ".", ""},
		strings.Split(watch.admin("show jobs"), "\n"))
	require.ElementsMatch(t, []string{"key", "", ".", ""}, strings.Split(watch.admin("show unique jobs"), "\n"))

	require.Equal(t, "ERR there are still connected workers or executing clients\r\n", watch.admin("drop function a"))
	require.Equal(t, "OK\r\n", watch.admin("cancel job "+first))
	client.expect(protocol.WorkFail, first)
	require.Equal(t, "ERR UNKNOWN_JOB\r\n", watch.admin("cancel job "+first))
}

func TestMaxQueueHoldsBeforeTheFunctionExists(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Start(t))
	require.Equal(t, "OK\r\n", p.admin("maxqueue f 1"))
	p.submit("f", "", "x")
	p.send(protocol.SubmitJob, "f", "", "y")
	p.expect(protocol.Error, protocol.CodeQueueError)
	require.Equal(t, "OK\r\n", p.admin("maxqueue f 1 2"))
	p.submit("f", "", "y")
	require.Equal(t, "OK\r\n", p.admin("maxqueue f"))
	p.submit("f", "", "z")
	require.Equal(t, "ERR INVALID_ARGUMENTS maxqueue+takes+numbers\r\n", p.admin("maxqueue f many"))
}

func TestCreateAndDropFunction(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Start(t))
	require.Equal(t, "OK\r\n", p.admin("create function foo"))
	require.Equal(t, "foo\t0\t0\t0\n.\n", p.admin("status"))
	require.Equal(t, "OK\r\n", p.admin("drop function foo"))
	require.Equal(t, ".\n", p.admin("status"))
}

// What peers call things must not look like lines of a listing.
func TestNamesCannotForgeLines(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p, watch := dial(t, s), dial(t, s)
	p.send(protocol.SetClientID, "id\n9 10.0.0.1 boss : all")
	p.send(protocol.CanDo, "f\n.\nOK")
	p.send(protocol.CanDo, "two words")
	p.send(protocol.SubmitJobBg, "f\n.\nOK", ".", "x")
	p.expect(protocol.JobCreated)
	p.send(protocol.SubmitJobBg, "g\tx\r\n", "key\n.\n", "x")
	p.expect(protocol.JobCreated)
	for command, lines := range map[string]int{"status": 4, "prioritystatus": 4, "workers": 3, "show jobs": 3, "show unique jobs": 3} {
		got := watch.admin(command)
		require.Equal(t, lines, strings.Count(got, "\n"), "%s: %q", command, got)
		require.True(t, strings.HasSuffix(got, "\n.\n"), got)
		require.Regexp(t, regexp.MustCompile(`^([^\x00-\x08\x0b-\x1f\x7f]*\n)+$`), got)
	}
	require.Contains(t, watch.admin("workers"), ` id\x0a9\x2010.0.0.1\x20boss\x20:\x20all : f\x0a.\x0aOK two\x20words`+"\n")
	require.Contains(t, watch.admin("status"), `g\x09x\x0d\x0a`+"\t1\t0\t0\n")
	require.Contains(t, watch.admin("show unique jobs"), `\x2e`+"\n")
	answer := watch.admin("no\x00\x1bsuch" + strings.Repeat("x", 200))
	require.True(t, strings.HasPrefix(answer, `ERR UNKNOWN_COMMAND Unknown+server+commandno\x00\x1bsuch`), answer)
	require.Less(t, len(answer), 200)
}

func TestLinesAndPacketsMix(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Start(t))
	p.raw(append(append(packet(protocol.EchoReq, "1"), "version\n"...), packet(protocol.EchoReq, "2")...))
	want := "\x00RES\x00\x00\x00\x11\x00\x00\x00\x011OK geartrain\n\x00RES\x00\x00\x00\x11\x00\x00\x00\x012"
	got := make([]byte, len(want))
	require.NoError(t, p.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(p, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestAdminShutdown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"shutdown", "shutdown graceful", "SHUTDOWN Graceful"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, func(c *server.Config) { c.AdminShutdown = true })
			p := dial(t, s)
			require.Equal(t, "ERR INVALID_ARGUMENTS shutdown+takes+graceful+or+nothing\r\n", p.admin("shutdown now"))
			require.Equal(t, "OK\r\n", p.admin(line))
			p.closed()
			require.NoError(t, s.Drain())
		})
	}
}
