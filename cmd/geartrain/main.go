// Command geartrain is a Gearman job server, a client and a worker for any program, and a runner of
// batch pipelines whose stages are task sets.
//
//	geartrain run FILE        run a pipeline; without -S on a server inside this process
//	geartrain server          the job server, in the foreground
//	geartrain worker -f NAME  any program as a worker
//	geartrain do NAME         one job, and its result
//	geartrain attach NAME KEY the result of a job that is there
//	geartrain cancel NAME KEY the end of one
//	geartrain doctor          what a job server guarantees
//	geartrain admin COMMAND   a look at job servers, and changes to what they hold
//	geartrain validate FILE   what is wrong with a pipeline file
//
// Results go to standard output, all else to standard error. The exit codes are in exitcode.go.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	_ "time/tzdata" // the zones of schedules, where the system has none
)

func main() {
	// A reader that went away is an error of the write, not the end. Ignoring the signal would be
	// inherited by the programs that are started; catching it is not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(context.Background(), arguments(os.Args), os.Stdin, os.Stdout, os.Stderr))
}

// arguments are those of the command line. A link to this program that is called gearmand is the job
// server, one that is called gearman the classic client and worker.
func arguments(line []string) []string {
	switch filepath.Base(line[0]) {
	case "gearmand":
		return append([]string{"server"}, line[1:]...)
	case "gearman":
		return append([]string{"gearman"}, line[1:]...)
	}
	return line[1:]
}

// run is the whole command: it returns the exit code and writes nowhere but to the given streams.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(&streams{in: stdin, out: stdout, err: newConsole(stderr)})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if text := errorText(err); text != "" {
		fmt.Fprintln(stderr, text)
	}
	return int(codeOf(err))
}
