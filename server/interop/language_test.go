//go:build unix

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// language is a way to write clients and workers. Its worker has the functions of [spoken], with a
// prefix; its client prints "FUNCTION: EVENT, EVENT..." for each task, in their order.
type language struct {
	name    string
	missing func() string // why it cannot run here; "" where it can
	client  func(t *testing.T, s jobServer, asked []task) []string
	worker  func(t *testing.T, s jobServer, prefix string)

	unable []string                    // what its worker cannot do
	deadly []string                    // what ends its worker at the reference server
	misses []string                    // what its client never hears the end of from the reference server
	says   map[string][]event          // what its worker says instead
	hears  func(events []event) string // how its client shows them, where not one after the other
}

// task is what a client asks for.
type task struct{ function, file string }

// event is one packet about a job, as a client shows it.
type event struct{ kind, text string }

func (e event) String() string { return strings.TrimSpace(e.kind + " " + e.text) }

// spoken is what the workers' functions make of the payload, by "function payload".
func spoken() map[string][]event {
	return map[string][]event{
		"echo text":    {{"complete", "hello"}},
		"echo binary":  {{"complete", `a\x00b\xff\x0a`}},
		"echo big":     {{"complete", "200000 bytes"}},
		"reverse text": {{"complete", "olleh"}},
		"empty text":   {{"complete", ""}},
		"fail text":    {{"fail", ""}},
		"boom text":    {{"exception", "bang"}},
		"steps text":   {{"status", "1/2"}, {"data", "one"}, {"warning", "careful"}, {"status", "2/2"}, {"complete", "done"}},
	}
}

func languages() []language {
	parts := []event{{"data", "one"}, {"complete", "done"}}
	halfway := []event{{"status", "50/100"}, {"warning", "careful"}, {"complete", "done"}}
	return []language{
		{name: "go", missing: available, client: goClient, worker: goWorker},
		{name: "perl", missing: perlMissing, client: scriptClient("perl", "perl/client.pl"), worker: scriptWorker("perl", "perl/worker.pl"),
			deadly: []string{"boom"}, unable: []string{"empty"}}, // see TestPerlWorkerAnswersWithNothing
		{name: "php", missing: phpMissing, client: scriptClient("php", "php/client.php"), worker: scriptWorker("php", "php/worker.php")},
		{name: "c", missing: cMissing, client: cClient, worker: cWorker},
		{name: "gearmanode", missing: nodeMissing("gearmanode"), client: nodeClient("gearmanode"), worker: nodeWorker("gearmanode"),
			unable: []string{"echo binary"}}, // its results are UTF-8
		{name: "abraxas", missing: nodeMissing("abraxas"), client: nodeClient("abraxas"), worker: nodeWorker("abraxas"),
			deadly: []string{"boom"}, unable: []string{"fail"}, says: map[string][]event{"steps text": halfway}, hears: asFractions},
		{name: "node", missing: nodeMissing("gearman"), client: nodeClient("gearman"), worker: nodeWorker("gearman")},
		{name: "node-gearman", missing: nodeMissing("node-gearman"), client: nodeClient("node-gearman"), worker: nodeWorker("node-gearman"),
			unable: []string{"boom"}, misses: []string{"boom"}, says: map[string][]event{"steps text": parts}, hears: asStream},
		{name: "gearman-coffee", missing: nodeMissing("gearman-coffee"), client: nodeClient("gearman-coffee"), worker: nodeWorker("gearman-coffee"),
			unable: []string{"boom"}, misses: []string{"boom"}, hears: withoutExceptions},
		{name: "gearman-node", missing: nodeMissing("gearman-node"), client: nodeClient("gearman-node"), worker: nodeWorker("gearman-node"),
			unable: []string{"boom"}, misses: []string{"boom"}, hears: withoutExceptions},
		{name: "gearman", missing: gearmanMissing, client: gearmanClient, worker: gearmanWorker,
			unable: []string{"boom", "steps", "echo big"}, // it reads no output before all input is written
			misses: []string{"boom"}, hears: asOutput},
	}
}

// can reports whether the worker has the function and survives it.
func (l language) can(s jobServer, what string) bool {
	function, _, _ := strings.Cut(what, " ")
	return !slices.Contains(l.unable, function) && !slices.Contains(l.unable, what) &&
		(s.ours != nil || !slices.Contains(l.deadly, function))
}

// hearsOf reports whether the client learns how the function ends.
func (l language) hearsOf(s jobServer, what string) bool {
	function, _, _ := strings.Cut(what, " ")
	return s.ours != nil || !slices.Contains(l.misses, function)
}

// say is what the client shows of what the worker l says.
func (l language) say(what string, client language) string {
	events, ok := l.says[what]
	if !ok {
		events = spoken()[what]
	}
	if client.hears != nil {
		return client.hears(events)
	}
	var texts []string
	for _, e := range events {
		texts = append(texts, e.String())
	}
	return strings.Join(texts, ", ")
}

func available() string { return "" }

// goClient is this module's own.
func goClient(t *testing.T, s jobServer, asked []task) []string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	set := newClient(t, s).NewTaskSet(ctx)
	lines := make([]string, len(asked))
	for i, a := range asked {
		payload, err := os.ReadFile(a.file)
		require.NoError(t, err)
		say := func(kind, text string) {
			separator := ", "
			if lines[i] == "" {
				separator = a.function + ": "
			}
			lines[i] += separator + event{kind, text}.String()
		}
		set.Add(gearman.Task{
			Function: a.function, Payload: payload,
			OnStatus:   func(n, d int) { say("status", fmt.Sprintf("%d/%d", n, d)) },
			OnData:     func(p []byte) { say("data", readable(p)) },
			OnWarning:  func(p []byte) { say("warning", readable(p)) },
			OnComplete: func(r gearman.Result) { say("complete", readable(r.Payload)) },
			OnFail: func(err error) {
				switch failure, ok := errors.AsType[*gearman.TaskError](err); {
				case !ok || failure.Exception == nil:
					say("fail", "")
				case strings.Contains(string(failure.Exception), "bang"):
					say("exception", "bang")
				default:
					say("exception", "")
				}
			},
		})
	}
	_ = set.Wait() // the callbacks have said it
	return lines
}

func goWorker(t *testing.T, s jobServer, prefix string) {
	result := func(text string) gearman.HandlerFunc {
		return func(context.Context, *gearman.Job) ([]byte, error) { return []byte(text), nil }
	}
	startWorker(t, s, map[string]gearman.HandlerFunc{
		prefix + ".echo": echo,
		prefix + ".reverse": func(_ context.Context, job *gearman.Job) ([]byte, error) {
			reversed := slices.Clone(job.Payload())
			slices.Reverse(reversed)
			return reversed, nil
		},
		prefix + ".empty": result(""),
		prefix + ".fail":  func(context.Context, *gearman.Job) ([]byte, error) { return nil, gearman.ErrFail },
		prefix + ".boom":  func(context.Context, *gearman.Job) ([]byte, error) { return nil, errors.New("bang") },
		prefix + ".steps": func(_ context.Context, job *gearman.Job) ([]byte, error) {
			return []byte("done"), errors.Join(job.SendStatus(1, 2), job.SendData([]byte("one")),
				job.SendWarning([]byte("careful")), job.SendStatus(2, 2))
		},
	})
}

// readable shows bytes as the clients in testdata/interop do.
func readable(p []byte) string {
	if len(p) > 1000 {
		return fmt.Sprintf("%d bytes", len(p))
	}
	var b strings.Builder
	for _, c := range p {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func perlMissing() string {
	return unless(exec.Command("perl", "-MGearman::Client", "-MGearman::Worker", "-e", "1"), "Gearman::Client for Perl is not installed")
}

func phpMissing() string {
	return unless(exec.Command("php", "-r", `exit(PHP_VERSION_ID >= 80000 && class_exists("GearmanClient") ? 0 : 1);`), "PHP 8 with its gearman extension is not installed")
}

func cMissing() string {
	return unless(exec.Command("cc", "-E", "-include", "libgearman/gearman.h", "-x", "c", "/dev/null"), "libgearman's headers or cc are not installed")
}

func nodeMissing(library string) func() string {
	return func() string {
		if os.Getenv("GEARTRAIN_INTEROP_NODE") == "" {
			return "GEARTRAIN_INTEROP_NODE does not name a folder with Node's libraries, see .ci/node"
		}
		probe := exec.Command("node", "-e", `require("`+library+`")`)
		return unless(setenv(probe, nodePath()), "node or its library "+library+" is not installed")
	}
}

func gearmanMissing() string {
	if _, err := exec.LookPath("gearman"); err != nil {
		return "the gearman command is not installed"
	}
	return ""
}

// unless is the reason if the probe fails.
func unless(probe *exec.Cmd, reason string) string {
	if probe.Run() != nil {
		return reason
	}
	return ""
}

func scriptClient(interpreter, script string) func(*testing.T, jobServer, []task) []string {
	return func(t *testing.T, s jobServer, asked []task) []string {
		return runLines(t, clientCommand(interpreter, script, s, asked...))
	}
}

// clientCommand is a client of testdata/interop with its arguments.
func clientCommand(interpreter, script string, s jobServer, asked ...task) *exec.Cmd {
	return exec.Command(interpreter, append([]string{program(script), s.addr}, arguments(asked)...)...)
}

func arguments(asked []task) []string {
	var args []string
	for _, a := range asked {
		args = append(args, a.function, a.file)
	}
	return args
}

func scriptWorker(interpreter, script string) func(*testing.T, jobServer, string) {
	return func(t *testing.T, s jobServer, prefix string) {
		start(t, exec.Command(interpreter, program(script), s.addr, prefix))
	}
}

func cClient(t *testing.T, s jobServer, asked []task) []string {
	return runLines(t, exec.Command(compiled(t, "client"), append([]string{s.addr}, arguments(asked)...)...))
}

func cWorker(t *testing.T, s jobServer, prefix string) {
	start(t, exec.Command(compiled(t, "worker"), s.addr, prefix))
}

// compiled is a program of testdata/interop/c.
func compiled(t *testing.T, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	run(t, exec.Command("cc", "-o", binary, program("c/"+name+".c"), "-lgearman"))
	return binary
}

func nodePath() string {
	return "NODE_PATH=" + filepath.Join(os.Getenv("GEARTRAIN_INTEROP_NODE"), "node_modules")
}

// nodeScript is a client or worker on one of Node's libraries.
func nodeScript(library, kind string, args ...string) *exec.Cmd {
	script := library
	if library == "gearman-coffee" || library == "gearman-node" { // one came from the other
		script = "coffee"
	}
	cmd := exec.Command("node", append([]string{program("node/" + script + "-" + kind + ".js")}, args...)...)
	return setenv(cmd, nodePath(), "LIBRARY="+library)
}

func nodeClient(library string) func(*testing.T, jobServer, []task) []string {
	return func(t *testing.T, s jobServer, asked []task) []string {
		return runLines(t, nodeScript(library, "client", append([]string{s.addr}, arguments(asked)...)...))
	}
}

func nodeWorker(library string) func(*testing.T, jobServer, string) {
	return func(t *testing.T, s jobServer, prefix string) {
		start(t, nodeScript(library, "worker", s.addr, prefix))
	}
}

// withoutExceptions is how clients show events that do not ask for exceptions.
func withoutExceptions(events []event) string {
	var texts []string
	for _, e := range events {
		if e.kind == "exception" {
			e = event{"fail", ""}
		}
		texts = append(texts, e.String())
	}
	return strings.Join(texts, ", ")
}

// asStream is how node-gearman shows events: data and result as one, and nothing else.
func asStream(events []event) string {
	text := ""
	for _, e := range events {
		switch e.kind {
		case "fail", "exception":
			return "fail"
		case "data", "complete":
			text += e.text
		}
	}
	return event{"complete", text}.String()
}

// asFractions is how abraxas shows events: progress as a number, warnings after it, and all data with
// the result.
func asFractions(events []event) string {
	var progress, warnings []string
	data := ""
	for _, e := range events {
		switch e.kind {
		case "status":
			var n, d float64
			fmt.Sscanf(e.text, "%f/%f", &n, &d)
			progress = append(progress, fmt.Sprint("status ", n/d))
		case "warning":
			warnings = append(warnings, e.String())
		case "data":
			data += e.text
		default:
			return strings.Join(slices.Concat(progress, warnings, []string{event{e.kind, data + e.text}.String()}), ", ")
		}
	}
	return ""
}

// gearmanClient is the stock command, once for each task.
func gearmanClient(t *testing.T, s jobServer, asked []task) []string {
	var running []*process
	for _, a := range asked {
		input, err := os.Open(a.file)
		require.NoError(t, err)
		defer input.Close()
		cmd := s.command("gearman", "-f", a.function)
		cmd.Stdin = input
		running = append(running, start(t, cmd))
	}
	var lines []string
	for i, p := range running {
		outcome := "fail"
		if p.wait(t) == 0 {
			outcome = event{"complete", readable([]byte(p.out.String()))}.String()
		}
		lines = append(lines, asked[i].function+": "+outcome)
	}
	return lines
}

// asOutput is how the stock command shows events: data as it comes, and then progress; warnings are
// for its standard error.
func asOutput(events []event) string {
	text, progress := "", ""
	for _, e := range events {
		switch e.kind {
		case "fail", "exception":
			return "fail"
		case "status":
			var n, d int
			fmt.Sscanf(e.text, "%d/%d", &n, &d)
			progress += fmt.Sprintf(`%d%% Complete\x0a`, 100*n/d)
		case "data", "complete":
			text += e.text
		}
	}
	return event{"complete", text + progress}.String()
}

func gearmanWorker(t *testing.T, s jobServer, prefix string) {
	for function, script := range map[string]string{
		"echo": "cat", "reverse": `rev | tr -d '\n'`, "empty": "true", "fail": "false",
	} {
		start(t, s.command("gearman", "-w", "-f", prefix+"."+function, "--", "sh", "-c", script))
	}
}
