package load_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/gearman/load"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onServers runs the test against this module's server and against gearmand, where it is installed.
func onServers(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("geartrain", func(t *testing.T) {
		t.Parallel()
		test(t, servertest.Start(t).Addr)
	})
	t.Run("gearmand", func(t *testing.T) {
		t.Parallel()
		test(t, startGearmand(t))
	})
}

func startGearmand(t *testing.T) string {
	path, err := exec.LookPath("gearmand")
	if err != nil {
		t.Skip("gearmand is not installed")
	}
	addr := servertest.FreeAddress(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	cmd := exec.Command(path, "-L", host, "-p", port, "-l", "none")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone, which is as good
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 2*time.Minute, 10*time.Millisecond)
	return addr
}

// small is a load for tests; the scenarios that cannot follow one of its settings are left out of it.
func small(s load.Scenario, addr string) load.Config {
	cfg := load.Config{Server: addr, Brief: true, Jobs: 300, Workers: 5}
	switch s.Name() {
	case "coalesce":
		cfg.Jobs, cfg.Clients = 3, 20
	case "idle":
		cfg.Jobs, cfg.Workers = 40, 50
	case "payload":
		cfg.Jobs, cfg.Size = 5, 100_000
	case "sync":
		cfg.Clients, cfg.Grabs = 3, 4
	}
	return cfg
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range load.Scenarios() {
		t.Run(s.Name(), func(t *testing.T) {
			t.Parallel()
			onServers(t, func(t *testing.T, addr string) {
				cfg := small(s, addr)
				report, err := load.Run(t.Context(), s, cfg)
				require.NoError(t, err)
				require.True(t, report.OK)
				require.Equal(t, cfg.Jobs, report.Executions)
				require.Equal(t, cfg.Jobs*max(1, joining(s, cfg)), report.Jobs)
				require.Positive(t, report.JobsPerSecond)
				require.Positive(t, report.First)
				require.GreaterOrEqual(t, report.P99, report.P50)
				require.GreaterOrEqual(t, report.Max, report.P99)
				require.NotEmpty(t, report.Details)
				require.NotEmpty(t, s.About())
			})
		})
	}
}

// joining is how many clients submit each job.
func joining(s load.Scenario, cfg load.Config) int {
	if s.Name() == "coalesce" {
		return cfg.Clients
	}
	return 1
}

// The whole thing also runs over pipes, where time stands still unless all wait: so nothing in it
// polls or sleeps.
func TestScenariosOverPipes(t *testing.T) {
	t.Parallel()
	for _, s := range load.Scenarios() {
		t.Run(s.Name(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := small(s, "pipe")
				cfg.Dial = servertest.Pipe(t).Dial
				start := time.Now()
				report, err := load.Run(t.Context(), s, cfg)
				require.NoError(t, err)
				want := time.Duration(0)
				if s.Name() == "coalesce" {
					want = 3 * 10 * time.Millisecond
				}
				require.Equal(t, want, time.Since(start))
				_, err = json.Marshal(report)
				require.NoError(t, err, "nothing is infinite, though no time has passed")
			})
		})
	}
}

func TestDurationEndsSubmitting(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t)
	for _, name := range []string{"sync", "coalesce", "flood"} {
		s, ok := load.Find(name)
		require.True(t, ok)
		cfg := load.Config{Server: server.Addr, Brief: true, Duration: 50 * time.Millisecond, Clients: 2}
		report, err := load.Run(t.Context(), s, cfg)
		for ; err == nil && report.Jobs == 0; report, err = load.Run(t.Context(), s, cfg) {
			cfg.Duration *= 2 // on a busy machine it was over before it began
		}
		require.NoError(t, err)
		require.GreaterOrEqual(t, report.Elapsed, cfg.Duration)
	}
}

func TestPlainGrab(t *testing.T) {
	t.Parallel()
	s, _ := load.Find("latency")
	cfg := load.Config{Server: servertest.Start(t).Addr, Jobs: 10, PlainGrab: true}
	report, err := load.Run(t.Context(), s, cfg)
	require.NoError(t, err)
	require.True(t, report.Config.PlainGrab)
	require.Equal(t, 10, report.Executions)
}

func TestServerProcessIsWatched(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc on this system")
	}
	server := servertest.Start(t)
	s, _ := load.Find("latency")
	report, err := load.Run(t.Context(), s, load.Config{Server: server.Addr, Jobs: 1000, PID: os.Getpid()})
	require.NoError(t, err)
	require.Positive(t, report.CPU)

	s, _ = load.Find("flood")
	report, err = load.Run(t.Context(), s, load.Config{Server: server.Addr, Jobs: 1000, PID: os.Getpid()})
	require.NoError(t, err)
	require.Contains(t, report.Details, "memory_bytes_per_job")
	require.Contains(t, report.Details, "drain_cpu_s_per_million")

	_, err = load.Run(t.Context(), s, load.Config{Server: server.Addr, PID: 1 << 30})
	require.ErrorIs(t, err, load.ErrConfig)
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scenario string
		cfg      load.Config
		want     string
	}{
		{"sync", load.Config{}, "no server"},
		{"sync", load.Config{Server: "x", Size: 15}, "size is 15"},
		{"sync", load.Config{Server: "x", Clients: -1, Workers: -1}, "clients is -1, it must be from 1 to 1048576\nworkers is -1"},
		{"flood", load.Config{Server: "x", Duration: -1}, "duration"},
		{"payload", load.Config{Server: "x", Size: -1}, "size is -1"},
		{"taskset", load.Config{Server: "x", Window: 5}, "taskset has one client, no window"},
		{"taskset", load.Config{Server: "x", Duration: 5}, "no duration"},
		{"coalesce", load.Config{Server: "x", Window: 5}, "coalesce has no window"},
	} {
		s, ok := load.Find(test.scenario)
		require.True(t, ok)
		report, err := load.Run(t.Context(), s, test.cfg)
		require.ErrorIs(t, err, load.ErrConfig)
		require.ErrorContains(t, err, test.want)
		require.False(t, report.OK)
	}
	_, ok := load.Find("beanstalk")
	require.False(t, ok)
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(load.Report{
		Scenario: "sync", OK: true, Jobs: 10, Elapsed: 1500 * time.Millisecond, P50: 1500 * time.Nanosecond,
		Config: load.Config{Server: "q:1", Clients: 4, Size: 64}, Details: map[string]float64{"round_ms": 2},
	})
	require.NoError(t, err)
	require.JSONEq(t, `{"scenario":"sync","ok":true,"config":{"server":"q:1","clients":4,"window":0,"workers":0,"grabs":0,"size":64},
		"jobs":10,"executions":0,"seconds":1.5,"jobs_per_second":0,"p50_us":1.5,"p99_us":0,"max_us":0,"first_us":0,
		"details":{"round_ms":2}}`, string(text))
}
