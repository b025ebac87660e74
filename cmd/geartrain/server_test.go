package main

import (
	"log/slog"
	"math"
	"os"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server"
)

// parsed is the server's command with these flags.
func parsed(t *testing.T, args ...string) *serverCommand {
	s := &serverCommand{std: &streams{}, logging: &logFlags{level: "warn", format: "text"}}
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	s.register(flags)
	require.NoError(t, flags.Parse(args))
	return s
}

// A flag that reaches nothing is worse than none.
func TestEveryFlagReachesTheServer(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, c := range []struct {
		args      []string
		got       func(*server.Config) any
		byDefault any
		want      any
	}{
		{[]string{"--exceptions"}, func(c *server.Config) any { return c.Queue.Exceptions }, false, true},
		{[]string{"-j", "3"}, func(c *server.Config) any { return c.Queue.JobRetries }, 0, 3},
		{[]string{"--job-retries=3"}, func(c *server.Config) any { return c.Queue.JobRetries }, 0, 3},
		{[]string{"-w4"}, func(c *server.Config) any { return c.Queue.WakeUp }, 1, 4},
		{[]string{"--job-handle-prefix=J:x"}, func(c *server.Config) any { return c.Queue.HandlePrefix }, "H:" + host + ":", "J:x:"},
		{[]string{"--keepalive", "--keepalive-idle=7"}, func(c *server.Config) any { return c.KeepAlive.Idle }, time.Duration(0), 7 * time.Second},
		{[]string{"--insecure"}, func(c *server.Config) any { return c.Insecure }, false, true},
		{[]string{"--admin-shutdown"}, func(c *server.Config) any { return c.AdminShutdown }, false, true},
		{[]string{"--drain-timeout=3s"}, func(c *server.Config) any { return c.DrainTimeout }, 30 * time.Second, 3 * time.Second},
		{[]string{"--drain-timeout=0"}, func(c *server.Config) any { return c.DrainTimeout < 0 }, false, true},
		{[]string{"--read-timeout=0"}, func(c *server.Config) any { return c.ReadTimeout < 0 }, false, true},
		{[]string{"--idle-timeout=1m"}, func(c *server.Config) any { return c.IdleTimeout }, time.Duration(0), time.Minute},
		{[]string{"--on-store-failure=exit"}, func(c *server.Config) any { return c.EndOnStoreFailure }, false, true},
		{[]string{"--backup-dir=/a/b"}, func(c *server.Config) any { return c.BackupRoot }, "", "/a/b"},
		{[]string{"--max-connections=5"}, func(c *server.Config) any { return c.MaxConnections }, 0, 5},
		{[]string{"--max-connections-per-address=5"}, func(c *server.Config) any { return c.MaxConnectionsPerAddress }, 0, 5},
		{[]string{"--max-packet=1KiB"}, func(c *server.Config) any { return c.MaxPacket }, 64 << 20, 1 << 10},
		{[]string{"--max-packet=0"}, func(c *server.Config) any { return c.MaxPacket }, 64 << 20, math.MaxInt},
		{[]string{"--max-outbox=2M"}, func(c *server.Config) any { return c.MaxOutbox }, 64 << 20, 2 << 20},
		{[]string{"--max-memory=1GiB"}, func(c *server.Config) any { return c.MaxMemory }, int64(0), int64(1 << 30)},
		{[]string{"--max-functions=5"}, func(c *server.Config) any { return c.Queue.MaxFunctions }, 0, 5},
		{[]string{"--max-jobs=5"}, func(c *server.Config) any { return c.Queue.MaxJobs }, 0, 5},
		{[]string{"--max-function-jobs=5"}, func(c *server.Config) any { return c.Queue.MaxFunctionJobs }, 0, 5},
		{[]string{"--max-clients=5"}, func(c *server.Config) any { return c.Queue.MaxClients }, 0, 5},
		{[]string{"--max-handles=5"}, func(c *server.Config) any { return c.Queue.MaxHandles }, 0, 5},
		{[]string{"--max-abilities=5"}, func(c *server.Config) any { return c.Queue.MaxAbilities }, 0, 5},
		{[]string{"--max-function-name=5"}, func(c *server.Config) any { return c.Queue.MaxFunctionName }, 512, 5},
		{[]string{"--max-key=5"}, func(c *server.Config) any { return c.Queue.MaxUnique }, 1024, 5},
		{[]string{"--dead-letters=5"}, func(c *server.Config) any { return c.Queue.DeadLetters }, 1000, 5},
		{[]string{"--dead-letters=0"}, func(c *server.Config) any { return c.Queue.DeadLetters < 0 }, false, true},
		{[]string{"--dead-letter-bytes=1MiB"}, func(c *server.Config) any { return c.Queue.DeadLetterBytes }, 64 << 20, 1 << 20},
		{[]string{"--dead-letter-bytes=0"}, func(c *server.Config) any { return c.Queue.DeadLetterBytes < 0 }, false, true},
	} {
		before, err := parsed(t).config(slog.Default())
		require.NoError(t, err)
		require.Equal(t, c.byDefault, c.got(&before), "%q", c.args)
		after, err := parsed(t, c.args...).config(slog.Default())
		require.NoError(t, err)
		require.Equal(t, c.want, c.got(&after), "%q", c.args)
		require.NoError(t, parsed(t, c.args...).check(), "%q", c.args)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want []string }{
		{nil, []string{"127.0.0.1:4730"}},
		{[]string{"-p", "1"}, []string{"127.0.0.1:1"}},
		{[]string{"-L", "localhost", "-L", "::1", "-p1"}, []string{"localhost:1", "[::1]:1"}},
		{[]string{"-L[::1]", "--listen=[::1]:2", "-L", "127.0.0.1:3"}, []string{"[::1]:4730", "[::1]:2", "127.0.0.1:3"}},
		{[]string{"-L", "localhost:", "-L", "unix:/a/b:c"}, []string{"localhost:4730", "unix:/a/b:c"}},
		{[]string{"-L", ""}, []string{":4730"}},
	} {
		require.Equal(t, c.want, parsed(t, c.args...).addresses(), "%q", c.args)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"do", "x"}, arguments([]string{"/bin/geartrain", "do", "x"}))
	require.Equal(t, []string{"server", "-d"}, arguments([]string{"/usr/sbin/gearmand", "-d"}))
}
