package main

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script read like a manual: each shows what one command does, and fails
// when it no longer does. They run the command as a program of its own.
//
//	startserver NAME [FLAGS...]   runs `geartrain server` on a free port; $NAME is its address
//	wait-for FILE                 returns as soon as a file is there
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"geartrain": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
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
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"startserver": startServer,
			"wait-for":    waitFor,
		},
	})
}
