//go:build unix

package interop_test

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// TestOurCommands runs this module's client and worker against the servers that people have.
func TestOurCommands(t *testing.T) {
	t.Parallel()
	geartrain := buildGeartrain(t)
	for _, server := range []struct {
		name  string
		start func(*testing.T) jobServer
	}{
		{name: "geartrain", start: func(t *testing.T) jobServer { return ours(t) }},
		{name: "gearmand", start: startGearmand},
		{name: "gearmand in Perl", start: startPerlGearmand},
	} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t)
			for function, argv := range map[string][]string{
				"upper": {"tr", "a-z", "A-Z"},
				"fail":  {"sh", "-c", "exit 3"},
			} {
				start(t, exec.Command(geartrain, append([]string{"worker", "-S", s.addr, "-f", function, "--"}, argv...)...))
				s.awaitStatus(t, function, counts{workers: 1})
			}
			do := func(args ...string) *exec.Cmd {
				return exec.Command(geartrain, append([]string{"do", "-S", s.addr}, args...)...)
			}
			require.Equal(t, "HELLO", run(t, do("upper", "hello")))
			require.Equal(t, "AB", run(t, do("upper", "a", "b")))
			lines := do("upper", "-N")
			lines.Stdin = strings.NewReader("a\nb\n")
			require.Equal(t, "A\nB\n", run(t, lines))
			require.Equal(t, "KEYED", run(t, do("upper", "-u", "key", "keyed")))
			require.Equal(t, "HIGH", run(t, do("upper", "-I", "high")))
			require.Contains(t, run(t, do("upper", "-b", "behind")), "H:")
			s.awaitStatus(t, "upper", counts{workers: 1})
			require.NotZero(t, start(t, do("fail", "x")).wait(t))
		})
	}
}

// Our client's task sets against the first of all servers, with a worker of its own time.
func TestOurClientWithTheServerInPerl(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	s := startPerlGearmand(t)
	held := newGate(t)
	perlWorker(t, "perl", s)
	client := newClient(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	set := client.NewTaskSet(ctx)
	reversed, exception := 0, ""
	for range 100 {
		set.Add(gearman.Task{Function: "perl.reverse", Payload: []byte("hello"), OnComplete: func(r gearman.Result) {
			if string(r.Payload) == "olleh" {
				reversed++
			}
		}})
	}
	set.Add(gearman.Task{Function: "perl.fail"})
	set.Add(gearman.Task{Function: "perl.boom", OnFail: func(err error) {
		if failure, ok := errors.AsType[*gearman.TaskError](err); ok {
			exception = string(failure.Exception)
		}
	}})
	require.ErrorIs(t, set.Wait(), gearman.ErrTaskFailed)
	require.Equal(t, gearman.Progress{Added: 102, Completed: 100, Failed: 2}, set.Progress())
	require.Equal(t, 100, reversed)
	require.Contains(t, exception, "bang")

	joined := client.NewTaskSet(ctx)
	var answers []string
	for range 3 {
		joined.Add(gearman.Task{Function: "perl.held", Key: "key", Payload: []byte(held.path),
			OnComplete: func(r gearman.Result) { answers = append(answers, string(r.Payload)) }})
	}
	s.awaitStatus(t, "perl.held", counts{1, 1, 1})
	held.open(t)
	require.NoError(t, joined.Wait())
	require.Len(t, answers, 3)
	require.Len(t, slices.Compact(answers), 1)

	h, err := client.Submit(ctx, gearman.Task{Function: "perl.reverse", Payload: []byte("hello")})
	require.NoError(t, err)
	await(t, "the background job has ended", func() bool {
		now, err := client.Status(ctx, h)
		require.NoError(t, err)
		return !now.Known
	})
}
