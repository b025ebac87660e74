package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script read like a manual: each shows what one command does, and fails
// when it no longer does. They run the command as a program of its own.
//
//	startserver NAME [FLAGS...]   runs `geartrain server` on a free port; $NAME is its address
//	wait-for FILE                 returns as soon as a file is there
//	exits CODE PROGRAM [ARGS...]  runs a program, which must end with this code
//	wait-gone FILE                returns as soon as a file is gone
//	signal HUP|INT|... PIDFILE    sends a signal to the process of a pid file
//	reap PIDFILE                  ends that process with the script, if it still runs
//	keep NAME                     $NAME is what the last program has printed
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"geartrain": main,
		"gearmand":  main,
		"gearman":   main,
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOPATH"} {
				env.Setenv(name, goEnv(name))
			}
			env.Setenv("ROOT", moduleRoot())
			env.Setenv("LANG", "C.UTF-8")
			env.Setenv("GEARTRAIN_STATE", env.WorkDir+"/.state")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"startserver": startServer,
			"wait-for":    waitFor,
			"exits":       exits,
			"keep":        keep,
			"reap":        reap,
			"signal":      signalTo,
			"wait-gone":   waitGone,
		},
	})
}
