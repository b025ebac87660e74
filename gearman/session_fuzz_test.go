package gearman

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Whatever a server says, a client ends its tasks and questions, and does not panic.
func FuzzServerAnswers(f *testing.F) {
	answer := func(dst []byte, t protocol.Type, args ...string) []byte {
		list := make([][]byte, len(args))
		for i, a := range args {
			list[i] = []byte(a)
		}
		return protocol.AppendPacket(dst, protocol.Response, t, list...)
	}
	granted := answer(answer(nil, protocol.OptionRes, protocol.OptionExceptions), protocol.OptionRes, protocol.OptionTasks)
	refused := answer(answer(nil, protocol.Error, protocol.CodeUnknownOption, ""), protocol.Error, "unknown_option", "")
	f.Add(answer(answer(granted, protocol.JobCreated, "H:1"), protocol.WorkComplete, "H:1", "x"))
	f.Add(answer(answer(granted, protocol.Error, "JOB_NOT_FOUND", ""), protocol.FindRes, "f", "k", "dead", "12"))
	f.Add(answer(answer(granted, protocol.JobRetained, "H:1", "5000"), protocol.WorkComplete, "H:1", "x"))
	f.Add(answer(answer(refused, protocol.StatusResUnique, "k", "1", "0", "0", "0", "1"), protocol.JobCreated, "H:1"))
	f.Add(answer(answer(refused, protocol.Error, "server_error", ""), protocol.Error, protocol.CodeDiskFull, ""))
	f.Add(answer(answer(granted, protocol.CancelRes, "k", "queued"), protocol.CancelRes, "k", "none"))
	f.Add([]byte("\x00RES"))
	f.Fuzz(func(t *testing.T, said []byte) {
		var dialled atomic.Bool
		c, err := NewClient(ClientConfig{Servers: []string{"fuzz"}, GiveUpAfter: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context, string, string) (net.Conn, error) {
				if dialled.Swap(true) {
					return nil, errRefused
				}
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }() // ends with the pipe
				go func() {
					_, _ = far.Write(said)
					far.Close()
				}()
				return near, nil
			}})
		require.NoError(t, err)
		defer c.Close()
		set := c.NewTaskSet(t.Context())
		set.Add(Task{Function: "f", Key: "k"})
		set.Add(Task{Function: "f", Key: "k", Retain: time.Hour})
		set.Attach(Task{Function: "f", Key: "k", Deadline: time.Now().Add(time.Second)})
		_, _ = c.FindAll(t.Context(), "f", []string{"k", "k"}) // any answer will do, none is a failure
		_, _ = c.CancelKey(t.Context(), "f", "k")
		_ = set.Wait()
		require.Zero(t, set.Progress().Open())
	})
}
