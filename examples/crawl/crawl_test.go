package main

import (
	"context"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/examples/crawl/site"
	"github.com/geartrain/geartrain/examples/internal/exampletest"
	"github.com/geartrain/geartrain/server/servertest"
)

var update = flag.Bool("update", false, "rewrite testdata/report.txt")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// visited is the bundled site, with a record of what was asked for.
type visited struct {
	url string

	mu     sync.Mutex // guards the fields below
	asked  map[string]int
	open   int // requests that are being answered
	most   int // of them at any time
	agents map[string]bool
}

func serveSite(t *testing.T) *visited {
	t.Helper()
	v := &visited{asked: map[string]int{}, agents: map[string]bool{}}
	pages := site.New(os.DirFS(filepath.Join("..", "..", "testdata", "site")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.begin(r)
		defer v.end()
		pages.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *visited) begin(r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked[r.URL.RequestURI()]++
	v.agents[r.UserAgent()] = true
	v.open++
	v.most = max(v.most, v.open)
}

func (v *visited) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open--
}

// crawled is a site and the report that both forms must give of it. On a busy machine a page may need more time than
// there is; then it is tried again with more, until only the page has timed out that never comes.
func crawled(t *testing.T, crawl func(v *visited, timeout string) string) *visited {
	t.Helper()
	golden := filepath.Join("testdata", "report.txt")
	for timeout := 3 * time.Second; ; timeout *= 2 {
		v := serveSite(t)
		report := strings.ReplaceAll(crawl(v, timeout.String()), v.url, "http://site")
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(report), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		if report == string(want) || timeout > 20*time.Second {
			require.Equal(t, string(want), report)
			return v
		}
	}
}

func requireEachOnce(t *testing.T, v *visited) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for path, times := range v.asked {
		require.Equal(t, 1, times, path)
		require.NotContains(t, path, "private")
	}
	require.Len(t, v.asked, 34, "every address but the private one, and robots.txt")
}

func TestCrawl(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	v := crawled(t, func(v *visited, timeout string) string {
		var report strings.Builder
		args := []string{"-timeout", timeout, "-rate", "1000/s", "-parallel", "3", v.url}
		require.NoError(t, run(t.Context(), args, &report, io.Discard))
		return report.String()
	})
	requireEachOnce(t, v)
	require.LessOrEqual(t, v.most, 3)
	require.Equal(t, map[string]bool{"geartrain-crawl/1 (+https://github.com/geartrain/geartrain)": true}, maps.Clone(v.agents))
}

func TestCrawlYAML(t *testing.T) {
	t.Parallel()
	v := crawled(t, func(v *visited, timeout string) string {
		return exampletest.RunFile(t, "crawl.yaml", map[string]string{"seed": v.url, "timeout": timeout})
	})
	requireEachOnce(t, v)
}

// TestCrawlWorkers has the work done by two workers at a server, as on several machines.
func TestCrawlWorkers(t *testing.T) {
	t.Parallel()
	srv := servertest.Start(t)
	v := serveSite(t)
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() { require.NoError(t, run(ctx, []string{"worker", "-S", srv.Addr}, nil, nil)) })
	}
	defer workers.Wait()
	defer stop()
	var report strings.Builder
	for timeout := 3 * time.Second; timeout < time.Minute && !strings.Contains(report.String(), "\n35 addresses,"); timeout *= 2 {
		report.Reset()
		args := []string{"-S", srv.Addr, "-timeout", timeout.String(), "-rate", "1000/s", v.url, v.url + "/index.html#top"}
		require.NoError(t, run(ctx, args, &report, io.Discard))
	}
	require.Contains(t, report.String(), "Crawl of "+v.url+"/ "+v.url+"/index.html\n35 addresses,")
	require.Contains(t, report.String(), "  /index.html -> /\n")
}

func TestCrawlLimits(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	v := serveSite(t)
	var report strings.Builder
	require.NoError(t, run(t.Context(), []string{"-timeout", "1m", "-rate", "1000/s", "-depth", "0", v.url}, &report, io.Discard))
	require.Contains(t, report.String(), "\n1 addresses, 1 HTML pages,")
	require.Contains(t, report.String(), "\nFound, but not fetched\n  /about.html\n")

	report.Reset()
	require.NoError(t, run(t.Context(), []string{"-timeout", "1m", "-rate", "1000/s", "-max", "4", v.url}, &report, io.Discard))
	require.Contains(t, report.String(), "\n4 addresses, ")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                      "no address",
		"-max 0 http://x/":      "must be more than zero",
		"ftp://example.org":     "not an address to follow",
		"-timeout 0s http://x/": "must be more than zero",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		require.ErrorContains(t, err, want, args)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	var r rate
	for text, want := range map[string]rate{
		"5/s": {5, time.Second}, "100/m": {100, time.Minute}, "1/2s": {1, 2 * time.Second},
	} {
		require.NoError(t, r.Set(text))
		require.Equal(t, want, r)
		var again rate
		require.NoError(t, again.Set(r.String()))
		require.Equal(t, want, again)
	}
	for _, text := range []string{"", "5", "0/s", "x/s", "5/", "5/x", "5/0s", "-1/s"} {
		require.Error(t, r.Set(text), text)
	}
}
