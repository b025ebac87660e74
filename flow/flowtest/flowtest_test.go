package flowtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/gearman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type words map[string]int

func TestRunATypedPipeline(t *testing.T) {
	t.Parallel()
	count := gearman.NewFunc[string, words]("text.count")
	sum := gearman.NewFunc[[]words, words]("text.sum")
	pipeline := flow.Define("text", func(lines flow.Stream[string]) flow.Single[words] {
		return flow.Reduce(flow.Each(lines, count), sum)
	})
	total, err := flowtest.Run(t, pipeline, []string{"a b a", "b c"},
		flowtest.Do(count, func(_ context.Context, line string) (words, error) {
			w := words{}
			for _, word := range strings.Fields(line) {
				w[word]++
			}
			return w, nil
		}),
		flowtest.Do(sum, func(_ context.Context, all []words) (words, error) {
			total := words{}
			for _, w := range all {
				for word, n := range w {
					total[word] += n
				}
			}
			return total, nil
		}))
	require.NoError(t, err)
	require.Equal(t, words{"a": 2, "b": 2, "c": 1}, total)
}

func TestTimeoutsTakeNoTimeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := gearman.NewFunc[string, string]("wait")
		pipeline := flow.Define("p", func(in flow.Stream[string]) flow.Single[string] {
			return flow.Then(flow.Gather(flow.Each(in, wait, flow.Timeout(time.Minute))), gearman.NewFunc[[]string, string]("never"))
		})
		_, err := flowtest.Run(t, pipeline, []string{"x"}, flowtest.Do(wait, func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}))
		stage, ok := errors.AsType[*flow.StageError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "timeout", stage.Reasons[0].Reason)
	})
}

func TestRunAPlanWithCommands(t *testing.T) {
	t.Parallel()
	file, err := form.Load("p.yaml", strings.NewReader(`
name: p
params:
  names: [Ada, Grace]
stages:
  - name: greet
    run: echo "Hello, $ITEM"
    for_each: ${{ params.names }}
  - name: sign
    run: sort -r
    stdin: ${{ join(stages.greet.results, '\n') }}
`))
	require.NoError(t, err)
	out, report, err := flowtest.RunPlan(t, file.Plan, nil)
	require.NoError(t, err)
	require.Equal(t, "Hello, Grace\nHello, Ada\n", out)
	require.Equal(t, flow.Success, report.Status)
}
