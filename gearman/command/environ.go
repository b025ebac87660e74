package command

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman"
)

// passed are the variables of this process that a program gets too: what it takes to find programs,
// files, a language, a network and a Go tool chain. What is not named here, above all credentials, is
// kept back. A name that ends in "*" stands for all that begin so.
var passed = [...]string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM",
	"TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",

	"GO111MODULE", "GOARCH", "GOBIN", "GOCACHE", "GODEBUG", "GOENV", "GOEXPERIMENT", "GOFLAGS",
	"GOINSECURE", "GOMAXPROCS", "GOMEMLIMIT", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOOS", "GOPATH",
	"GOPRIVATE", "GOPROXY", "GOROOT", "GOSUMDB", "GOTMPDIR", "GOTOOLCHAIN", "GOVCS", "GOWORK",
	"CGO_ENABLED",

	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERNAME", "USERPROFILE", "APPDATA",
	"LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
}

// Environ is the part of this process's environment that a program gets: the variables that are about
// the machine, the user, the locale, proxies and the Go tool chain. Whatever else one needs is given
// by name in [Command].Env.
func Environ() []string {
	var env []string
	for _, nameValue := range os.Environ() {
		name, _, _ := strings.Cut(nameValue, "=")
		if isPassed(name) {
			env = append(env, nameValue)
		}
	}
	return env
}

func isPassed(name string) bool {
	for _, p := range passed {
		prefix, open := strings.CutSuffix(p, "*")
		if name == p || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// JobEnv is how a job describes itself to a program:
//
//	GEARTRAIN_FUNCTION   the function's name
//	GEARTRAIN_KEY        the key, empty when the server did not give it
//	GEARTRAIN_HANDLE     the server's handle
//	GEARTRAIN_ATTEMPT    the number of the attempt, 0 when the server does not count them
//	GEARTRAIN_DEADLINE   when the attempt will be ended (RFC 3339); not set without a limit
func JobEnv(ctx context.Context, job *gearman.Job) []string {
	env := []string{
		"GEARTRAIN_FUNCTION=" + job.Function(),
		"GEARTRAIN_KEY=" + job.Key(),
		"GEARTRAIN_HANDLE=" + job.Handle(),
		"GEARTRAIN_ATTEMPT=" + strconv.Itoa(job.Attempt()),
	}
	if at, ok := ctx.Deadline(); ok {
		env = append(env, "GEARTRAIN_DEADLINE="+at.UTC().Format(time.RFC3339Nano))
	}
	return env
}
