//go:build unix

package interop_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryClientWithEveryWorker starts a worker in each language that is there, and has a client in
// each ask all of them for all they can do, at once.
func TestEveryClientWithEveryWorker(t *testing.T) {
	t.Parallel()
	files := payloads(t)
	var here []language
	for _, l := range languages() {
		if reason := l.missing(); reason != "" {
			t.Run(l.name, func(t *testing.T) { t.Skip(reason) })
			continue
		}
		here = append(here, l)
	}
	onServers(t, func(t *testing.T, s jobServer) {
		startWorkers(t, s, here)
		for _, client := range here {
			t.Run(client.name, func(t *testing.T) {
				var asked []task
				var want []string
				for _, worker := range here {
					for _, what := range slices.Sorted(maps.Keys(spoken())) {
						if !worker.can(s, what) || !client.hearsOf(s, what) {
							continue
						}
						function, payload, _ := strings.Cut(what, " ")
						name := worker.name + "." + function
						asked = append(asked, task{name, files[payload]})
						want = append(want, fmt.Sprintf("%s: %s", name, worker.say(what, client)))
					}
				}
				require.Equal(t, want, client.client(t, s, asked))
			})
		}
	})
}

// startWorkers returns when the server knows what each of them can do.
func startWorkers(t *testing.T, s jobServer, workers []language) {
	for _, l := range workers {
		l.worker(t, s, l.name)
	}
	for _, l := range workers {
		for what := range spoken() {
			function, _, _ := strings.Cut(what, " ")
			if l.can(s, what) {
				s.awaitStatus(t, l.name+"."+function, counts{workers: 1})
			}
		}
	}
}

// payloads are files that clients send, by the names in [spoken].
func payloads(t *testing.T) map[string]string {
	dir := t.TempDir()
	files := map[string]string{}
	for name, p := range map[string][]byte{
		"text": []byte("hello"), "binary": []byte("a\x00b\xff\n"), "big": make([]byte, 200_000),
	} {
		files[name] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(files[name], p, 0o600))
	}
	return files
}
