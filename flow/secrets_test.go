package flow_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman"
)

// canary is the value of a secret that is looked for wherever anything comes out. It has characters that
// JSON and addresses write otherwise.
const canary = "c4n\"ry /Zwitscher+&"

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func readSecrets(t *testing.T, plan *flow.Plan, env map[string]string) *flow.Secrets {
	t.Helper()
	secrets, err := flow.ReadSecrets(plan, lookupIn(env))
	require.NoError(t, err)
	return secrets
}

// leaky prints its secret in every way that a command has.
const leaky = `
name: leaky
secrets: [CANARY]
stages:
  - name: good
    run: |
      echo "log $CANARY" >&2
      echo "::warning $CANARY" >&2
      echo "::data $CANARY" >&2
      printf '%s' "$CANARY" | base64 | tr -d '\n'
      echo " $CANARY"
  - name: bad
    for_each: [1, 2]
    run: echo "trouble with $CANARY" >&2; exit $((ITEM + 3))
    retry: {attempts: 2}
    allow_failures: all
    on_success:
      - run: echo "stage hook $CANARY"; echo "and $CANARY" >&2
  - name: use
    needs: [good, bad]
    args: {text: "${{ stages.good.result }}", failures: "${{ stages.bad.failures }}"}
    run: [sh, -c, "cat; echo \"$CANARY\" >&2; exit 9"]
output: ${{ stages.good.result }}
on_exit:
  - run: env >&2; cat >&2; exit 7
`

// listening keeps what is written and what happens.
type listening struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func TestNothingShowsASecret(t *testing.T) {
	needsShell(t)
	plan := load(t, leaky)
	secrets := readSecrets(t, plan, map[string]string{"CANARY": canary})
	var log, told listening
	listens := make(chan struct{})
	runner := flowtest.NewRunner(t, func(w *gearman.Worker) {
		w.Use(func(next gearman.HandlerFunc) gearman.HandlerFunc {
			return func(ctx context.Context, job *gearman.Job) ([]byte, error) {
				<-listens
				return next(ctx, job)
			}
		})
		flow.HandleCommands(w, plan, flow.CommandOptions{Secrets: secrets, Stderr: &log})
	})
	runner.Secrets, runner.Stderr = secrets, &log

	var output bytes.Buffer
	run, err := plan.Start(context.Background(), runner, flow.RunOptions{Output: &output})
	require.NoError(t, err)
	events := run.Events(context.Background())
	close(listens)
	for e := range events {
		fmt.Fprintf(&told, "%+v %v\n", e, e.Err)
	}
	report, err := run.Wait()
	require.Error(t, err)
	text, jsonErr := json.Marshal(report)
	require.NoError(t, jsonErr)

	require.Contains(t, log.String(), "log ***\n")
	require.Contains(t, log.String(), "stage hook ***\n")
	require.Contains(t, log.String(), "CANARY=***\n", "the hook had it")
	require.Contains(t, told.String(), "trouble with ***")
	require.Equal(t, "partial", string(report.Stages[1].Status))
	quoted, _ := value.EncodeJSON(canary)
	for where, all := range map[string]string{
		"log": log.String(), "events": told.String(), "report": string(text), "error": err.Error(), "output": output.String(),
	} {
		for _, form := range []string{canary, string(quoted[1 : len(quoted)-1]), base64.StdEncoding.EncodeToString([]byte(canary))} {
			require.NotContains(t, all, form, where)
		}
	}
}

func TestWhereSecretsComeFrom(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dsn")
	require.NoError(t, os.WriteFile(file, []byte("from the file\n"), 0o600))
	plan := load(t, "name: p\nsecrets: [DSN]\nstages: [{name: a, function: f}]")
	for want, env := range map[string]map[string]string{
		"from the file":   {"GEARTRAIN_SECRET_DSN_FILE": file, "GEARTRAIN_SECRET_DSN": "not this", "DSN": "nor this"},
		"its own name":    {"GEARTRAIN_SECRET_DSN": "its own name", "DSN": "not this"},
		"the plain name":  {"DSN": "the plain name"},
		"two\nlong lines": {"DSN": "two\nlong lines"},
	} {
		secrets := readSecrets(t, plan, env)
		require.Equal(t, "x *** y", secrets.Mask("x "+want+" y"))
		require.Equal(t, "not this", secrets.Mask("not this"))
	}
}

func TestSecretsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	plan := load(t, "name: p\nsecrets: [A_KEY, B_KEY]\nstages: [{name: a, function: f}]")
	for want, env := range map[string]map[string]string{
		`the secret "A_KEY" is not set; give it as the variable A_KEY, or GEARTRAIN_SECRET_A_KEY_FILE with the name of a file`: {"B_KEY": "long enough"},
		`the secret "B_KEY" is not set`:                   {"A_KEY": "long enough"},
		`the secret "B_KEY" has less than 4 characters`:   {"A_KEY": "long enough", "B_KEY": "abc"},
		`the secret "A_KEY" is over 64.0 KiB`:             {"A_KEY": strings.Repeat("x", 1<<17), "B_KEY": "long enough"},
		`the secret "A_KEY" holds a NUL byte`:             {"A_KEY": "long\x00enough", "B_KEY": "long enough"},
		`the secret "A_KEY": open /no/such/file: no such`: {"GEARTRAIN_SECRET_A_KEY_FILE": "/no/such/file", "B_KEY": "long enough"},
	} {
		_, err := flow.ReadSecrets(plan, lookupIn(env))
		require.ErrorContains(t, err, want)
	}
}

func TestParameterThatIsASecretIsRefused(t *testing.T) {
	t.Parallel()
	plan := load(t, "name: p\nsecrets: [DSN]\nparams: {where: x}\nstages: [{name: a, function: f}]")
	runner := &flow.Runner{Secrets: readSecrets(t, plan, map[string]string{"DSN": "pass word"})}
	_, err := plan.Start(context.Background(), runner, flow.RunOptions{Params: map[string]any{"where": "to pass word"}})
	require.ErrorContains(t, err, `the parameter "where" holds a secret`)
	require.NotContains(t, err.Error(), "pass word")
}

func TestCommandWithoutItsSecretsDoesNotRun(t *testing.T) {
	needsShell(t)
	_, report, err := runYAML(t, "name: p\nsecrets: [DSN]\nstages: [{name: a, run: echo}]", nil)
	require.Error(t, err)
	require.Contains(t, report.Stages[0].Failures[0].Message, `the secret "DSN" is not known where this command runs; nothing was run`)
}
