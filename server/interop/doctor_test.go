//go:build unix

package interop_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The doctor knows servers that have never heard of it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	geartrain := buildGeartrain(t)
	for name, server := range map[string]struct {
		start func(*testing.T) jobServer
		says  []string
	}{
		"gearmand":         {startGearmand, []string{`durable +unknown`, `retention +no`, `cancel +partly`, `attach +partly`, `retries +partly`}},
		"gearmand in Perl": {startPerlGearmand, []string{`durable +no`, `retention +no`, `cancel +no`, `attach +no`, `retries +no`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t)
			out := run(t, exec.Command(geartrain, "doctor", "-S", s.addr))
			for _, line := range server.says {
				require.Regexp(t, `(?m)^`+line+` `, out)
			}
		})
	}
}

// Attach, find and cancel where the server has no such requests.
func TestKeysOnStockServers(t *testing.T) {
	t.Parallel()
	geartrain := buildGeartrain(t)
	s := startGearmand(t)
	command := func(args ...string) *exec.Cmd {
		return exec.Command(geartrain, append([]string{args[0], "-S", s.addr}, args[1:]...)...)
	}
	exits := func(code int, args ...string) {
		t.Helper()
		p := start(t, command(args...))
		require.Equal(t, code, p.wait(t), p.err.String())
	}
	exits(7, "attach", "upper", "key")
	handle := run(t, command("do", "upper", "-b", "-u", "key", "hello"))
	exits(8, "cancel", "upper", "key")
	attached := start(t, command("attach", "upper", "key"))
	await(t, "it is attached", func() bool { return attached.err.String() != "" })
	start(t, command("worker", "-f", "upper", "--", "tr", "a-z", "A-Z"))
	require.Zero(t, attached.wait(t))
	require.Equal(t, "HELLO", attached.out.String())
	exits(7, "attach", "upper", "key")
	exits(7, "cancel", "--handle", handle[:len(handle)-1])
	waiting := run(t, command("do", "nobody", "-b", "x"))
	exits(0, "cancel", "--handle", waiting[:len(waiting)-1]) // gearmand lists it until a worker asks, but does not hand it out
}
