package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/servertest"
)

// bury makes a dead letter of a background job and returns its handle.
func bury(t *testing.T, s *servertest.Server, function, unique, payload string) string {
	client, worker := dial(t, s), dial(t, s)
	client.send(protocol.SubmitJobBg, function, unique, payload)
	h := client.expect(protocol.JobCreated)[0]
	worker.send(protocol.CanDo, function)
	worker.send(protocol.SetClientID, "w 1")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.JobAssign, h)
	before := s.Snapshot().Levels.DeadLetters
	worker.Close()
	require.Eventually(t, func() bool { return s.Snapshot().Levels.DeadLetters == before+1 }, patience, 1e6)
	return h
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) { c.Queue.JobRetries = 1 })
	watch := dial(t, s)
	lines := func(command string) []string {
		watch.raw([]byte(command + "\n"))
		return strings.Split(strings.TrimSuffix(watch.answer(true), "\n"), "\n")
	}
	require.Equal(t, []string{"."}, lines("dead letters"))
	first := bury(t, s, "poison", "k\ty", "pay\nload")
	second := bury(t, s, "poison", "", strings.Repeat("p", 3000))

	list := lines("Dead Letters")
	require.Len(t, list, 3)
	require.Regexp(t, "^"+first+`\tpoison\tk\\x09y\t1\t8\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, list[0])
	require.Regexp(t, "^"+second+`\tpoison\t\t1\t3000\t`, list[1])

	shown := lines("show dead " + first)
	require.Equal(t, []string{"handle\t" + first, "function\tpoison", `unique` + "\t" + `k\x09y`, "priority\tnormal"}, shown[:4])
	require.Equal(t, []string{"attempts\t1", "size\t8", "payload\t" + `pay\x0aload`}, shown[5:8])
	require.Regexp(t, `^attempt\t1\tw 1\t\S+Z\t\S+Z\tworker lost$`, shown[8])
	require.Less(t, len(strings.Join(lines("show dead "+second), "\n")), 1500, "a payload is cut")

	require.Equal(t, "OK\r\n", watch.admin("retry dead "+first))
	worker := dial(t, s)
	worker.send(protocol.CanDo, "poison")
	worker.send(protocol.GrabJob)
	require.Equal(t, "pay\nload", worker.expect(protocol.JobAssign)[2])
	require.Equal(t, "OK\r\n", watch.admin("drop dead "+second))
	require.Equal(t, []string{"."}, lines("dead letters"))
}

// What a worker said of an attempt stands behind what it came to.
func TestDeadLettersSayWhy(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) {
		c.Queue.Policies = []queue.Policy{{Pattern: "f", Retry: queue.Retry{Attempts: 1}}}
	})
	client, worker := dial(t, s), dial(t, s)
	client.send(protocol.SubmitJobBg, "f", "", "x")
	h := client.expect(protocol.JobCreated)[0]
	worker.send(protocol.CanDo, "f")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.JobAssign, h)
	worker.send(protocol.WorkException, h, "no such\tfile")
	require.Eventually(t, func() bool { return s.Snapshot().Levels.DeadLetters == 1 }, patience, 1e6)
	client.raw([]byte("show dead " + h + "\n"))
	require.Regexp(t, `(?m)^attempt\t1\t.*\texception\tno such\\x09file$`, client.answer(true))
}

func TestDeadLettersThatCannotBeRetried(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) { c.Queue.JobRetries = 1 })
	watch := dial(t, s)
	h := bury(t, s, "poison", "key", "x")
	watch.submit("poison", "key", "y")
	require.Equal(t, "ERR QUEUE_ERROR The+key+is+in+use+or+the+queue+is+full\r\n", watch.admin("retry dead "+h))
	require.Equal(t, 1, s.Snapshot().Levels.DeadLetters)
	const incomplete = "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"
	for line, answer := range map[string]string{
		"show dead none":  "ERR UNKNOWN_JOB\r\n",
		"retry dead none": "ERR UNKNOWN_JOB\r\n",
		"drop dead none":  "ERR UNKNOWN_JOB\r\n",
		"show dead":       incomplete + "show\r\n",
		"retry dead":      incomplete + "retry\r\n",
		"drop dead a b":   incomplete + "drop\r\n",
		"dead":            "ERR UNKNOWN_COMMAND Unknown+server+commanddead\r\n",
		"retry":           "ERR UNKNOWN_COMMAND Unknown+server+commandretry\r\n",
	} {
		watch.raw([]byte(line + "\n"))
		require.Equal(t, answer, watch.answer(false), line)
	}
}
