//go:build unix

package interop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// TestGearmanLetters runs the stock command with each of its letters.
func TestGearmanLetters(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		for function, worker := range map[string][]string{
			"upper": {"--", "tr", "a-z", "A-Z"}, // the result is what the program prints
			"lines": {"-n", "--", "cat"},        // each line of it is a packet of data
			"bare":  {"-N", "--", "cat"},        // without its newline
			"fail":  {"--", "false"},
		} {
			start(t, s.command("gearman", append([]string{"-w", "-f", function}, worker...)...))
			s.awaitStatus(t, function, counts{workers: 1})
		}
		for _, test := range []struct {
			args  string // as in a shell, without quotes
			input string
			code  int
			out   string
		}{
			{args: "-f upper hello", out: "HELLO"},
			{args: "-f upper a b c", out: "ABC"}, // a job each
			{args: "-f upper", input: "a\nb\n", out: "A\nB\n"},
			{args: "-f upper -s", input: "not read"},
			{args: "-n -f upper", input: "a\nb\n", out: "A\nB\n"}, // a job each
			{args: "-N -f upper", input: "a\nb\n", out: "AB"},
			{args: "-P -f upper a b", out: "upper: Aupper: B"},
			{args: "-n -P -f upper", input: "a\nb\n", out: "upper: A\nupper: B\n"},
			{args: "-f lines", input: "a\nb\n", out: "a\na\nb\n"}, // the first line is also in the result
			{args: "-f bare", input: "a\nb\n", out: "aa\nb"},
			{args: "-f fail x", code: 1},
			{args: "-u key -f upper keyed", out: "KEYED"},
			{args: "-I -f upper high", out: "HIGH"},
			{args: "-L -f upper low", out: "LOW"},
			{args: "-t 120000 -f upper soon", out: "SOON"},
			{args: "-t 100 -f nobody never"},
			{args: "-b -f nobody behind"},
			{args: "-b -I -f nobody behind"},
			{args: "-b -L -f nobody behind"},
		} {
			cmd := s.command("gearman", strings.Fields(test.args)...)
			cmd.Stdin = strings.NewReader(test.input)
			p := start(t, cmd)
			require.Equal(t, test.code, p.wait(t), "%s: %s", test.args, p.err.String())
			require.Equal(t, test.out, p.out.String(), test.args)
		}
		await(t, "three jobs are left", func() bool {
			left := s.status(t, "nobody")
			if s.ours == nil && left.jobs == 4 {
				left.jobs-- // the one that was given up, if it was there at all, is counted until a worker comes
			}
			return left == counts{jobs: 3}
		})

		both := start(t, s.command("gearman", "-f", "upper", "-f", "lines", "x"))
		require.Zero(t, both.wait(t))
		require.ElementsMatch(t, []rune("Xx"), []rune(both.out.String()))
		require.Contains(t, run(t, s.command("gearman", "-v", "-f", "upper", "seen")), "Task created: H:")
		require.Contains(t, start(t, s.command("gearman", "-H")).all(t), "Client mode:")
	})
}

// A worker without a program prints its payloads.
func TestGearmanWorkerWithoutAProgram(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		worker := start(t, s.command("gearman", "-w", "-c", "2", "-f", "print"))
		require.Empty(t, run(t, s.command("gearman", "-f", "print", "one", "two")))
		require.Zero(t, worker.wait(t), worker.err.String())
		require.ElementsMatch(t, []rune("onetwo"), []rune(worker.out.String()))
	})
}

// A worker that ends after a number of jobs leaves the others where they were, and says which process
// it is.
func TestGearmanWorkerCounts(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		for range 3 {
			run(t, s.command("gearman", "-b", "-f", "counted", "x"))
		}
		pidFile := filepath.Join(t.TempDir(), "pid")
		worker := start(t, s.command("gearman", "-w", "-c", "2", "-i", pidFile, "-f", "counted", "--", "cat", pidFile))
		require.Zero(t, worker.wait(t), worker.err.String())
		s.awaitStatus(t, "counted", counts{jobs: 1})
	})
}

// One worker, and jobs of each priority that were there before it.
func TestGearmanPriorities(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		for _, args := range []string{"-L low1", "normal1", "-I high1", "-L low2", "normal2", "-I high2"} {
			run(t, s.command("gearman", append([]string{"-b", "-f", "ordered"}, strings.Fields(args)...)...))
		}
		order := filepath.Join(t.TempDir(), "order")
		worker := start(t, s.command("gearman", "-w", "-c", "6", "-f", "ordered", "--", "sh", "-c", `cat >>"$0"; echo >>"$0"`, order))
		require.Zero(t, worker.wait(t), worker.err.String())
		got, err := os.ReadFile(order)
		require.NoError(t, err)
		require.Equal(t, "high1 high2 normal1 normal2 low1 low2", strings.Join(strings.Fields(string(got)), " "))
	})
}

// A thousand jobs in one command, with two workers.
func TestGearmanManyJobs(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		for range 2 {
			startWorker(t, s, map[string]gearman.HandlerFunc{"many": echo})
		}
		lines := make([]string, 1000)
		for i := range lines {
			lines[i] = strings.Repeat("x", i%50)
		}
		cmd := s.command("gearman", "-n", "-f", "many")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		got := runLines(t, cmd)
		slices.Sort(lines)
		slices.Sort(got)
		require.Equal(t, lines, got)
	})
}
