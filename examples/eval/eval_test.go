package main

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEval(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"1 + 1":              "2",
		"return 1 + 1;":      "2",
		" 7 / 2 ":            "3.5",
		"2 ** 10 > 1000":     "true",
		`upper("gear")`:      "GEAR",
		`"gear" + "train"`:   "geartrain",
		"[1, 2.5, nil]":      "[1,2.5,null]",
		`{"teeth": 24}`:      `{"teeth":24}`,
		"1..5":               "[1,2,3,4,5]",
		"max(3, 9, 4)":       "9",
		`"x" matches "^x$"`:  "true",
		"1 > 2 ? 'a' : 'b'":  "b",
		`len("Zahnräder")`:   "9",
		"0.1 + 0.2":          "0.30000000000000004",
		"[10, 20][1] % 7":    "6",
		`"b" in ["a", "b"]`:  "true",
		"not (true and nil)": "",
	} {
		got, err := eval(source)
		if want == "" {
			require.Error(t, err, source)
			continue
		}
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
}

func TestEvalRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                                     "unexpected token EOF",
		"1 +":                                  "unexpected token EOF",
		"exit()":                               "unknown name exit",
		"1 % 0":                                "divide by zero",
		"1..1000000":                           "memory budget exceeded",
		"map(1..9, # * 2)":                     "not allowed here",
		"1..9 | all(# < 5)":                    "not allowed here",
		`repeat("x", 1000000000)`:              "unknown name repeat",
		"let a = 'x'; a + a":                   "variables are not allowed here",
		"1/0":                                  "division by zero",
		strings.Repeat("1+", 2050):             "4100 bytes",
		"[" + strings.Repeat("1,", 600) + "1]": "exceeds maximum allowed nodes",
		"now()":                                "unknown name now",
	} {
		got, err := eval(source)
		require.ErrorContains(t, err, want, "%q gave %q", source, got)
		require.NotContains(t, err.Error(), "\n")
	}
}

func FuzzEval(f *testing.F) {
	for _, source := range []string{"1 + 1", "[1, {a: 2}]", "1..9", `"a" matches "b"`, "-'x'", "return 1;"} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		answer, err := eval(source)
		if err != nil {
			require.Empty(t, answer)
		}
	})
}

func TestRun(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"1 + 1"}, &out))
	require.Equal(t, "2\n", out.String())
	require.EqualError(t, run(t.Context(), []string{"1 % 0"}, &out), "integer divide by zero (1:3)")
	require.ErrorContains(t, run(t.Context(), nil, &out), "want one expression")
}

// TestStockClient asks the worker with the classic command.
func TestStockClient(t *testing.T) {
	stock, err := exec.LookPath("gearman")
	if err != nil {
		t.Skip("the gearman command is not installed:", err)
	}
	srv := servertest.Start(t)
	ctx, stop := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() { require.NoError(t, run(ctx, []string{"worker", "-S", srv.Addr}, nil)) })
	defer worker.Wait()
	defer stop()
	host, port, err := net.SplitHostPort(srv.Addr)
	require.NoError(t, err)
	out, err := exec.CommandContext(ctx, stock, "-h", host, "-p", port, "-f", "eval", "1 + 1").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "2", string(out))
}
