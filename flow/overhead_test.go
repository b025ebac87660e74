package flow

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// instantServer answers each task with its payload as soon as it is added.
type instantServer struct{}

func (instantServer) open(context.Context, int) taskSet { return instantServer{} }
func (instantServer) wait()                             {}
func (instantServer) add(t gearman.Task) {
	t.OnComplete(gearman.Result{Payload: t.Payload, Attempt: 1})
}

// BenchmarkStageAlone is what a stage itself does for one job, without client, server and worker.
func BenchmarkStageAlone(b *testing.B) {
	for _, bench := range []struct {
		name  string
		stage Stage
	}{
		{"text", Stage{}},
		{"json", Stage{Output: JSONOutput}},
		{"args", Stage{Args: template(b, map[string]any{"url": "${{ item }}", "depth": 1})}},
		{"command", Stage{Command: &Command{Script: "true"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := bench.stage
			s.Name, s.Function, s.Input = "s", "echo", Input{Kind: FromInput, Encoding: s.Output}
			plan := &Plan{Name: "p", Stages: []Stage{s}}
			b.ReportAllocs()
			report, err := plan.Run(b.Context(), &Runner{submitter: instantServer{}}, RunOptions{Input: func(yield func([]byte) bool) {
				for i := range b.N {
					if !yield(strconv.AppendInt(nil, int64(i), 10)) {
						return
					}
				}
			}})
			require.NoError(b, err)
			require.Equal(b, b.N, report.Stages[0].Done)
		})
	}
}
